//! The emulators: DynamoDB with its Streams, and Kinesis, served over HTTP from inside this process. Owns their
//! listeners and a runtime of their own, so that their work never holds up the worker's timers; dropping the value
//! stops both and forgets all their data. Tests start as many as they like: each binds ports that the system chooses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use ferrokinesis::store::StoreOptions;
use tokio::runtime::Runtime;
use tokio::sync::RwLock;

use super::error::DemoError;

/// A Kinesis stream gets as many shards as it asks for; the emulator's own limit of 10 is an account's.
const SHARD_LIMIT: u32 = 1_000;

/// In the words of the emulator's own queries, since only then SQLite uses it for them.
const SEQUENCE_INDEX: &str = "CREATE INDEX stream_records_by_sequence_number \
     ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// A DynamoDB (with Streams) and a Kinesis, each on a port of its own.
#[derive(Debug)]
pub struct Emulators {
    dynamodb: SocketAddr,
    kinesis: SocketAddr,
    runtime: Option<Runtime>,
}

impl Emulators {
    /// Starts both, empty, on 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound, no thread started, or a database cannot be opened in memory.
    pub fn start() -> Result<Self, DemoError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("emulators")
            .enable_all()
            .build()
            .map_err(|error| DemoError::new("start the emulators' threads", error))?;
        // Both take tokio's listeners and tasks from the runtime that is entered.
        let inside = runtime.enter();
        let dynamodb = serve_dynamodb(&runtime)?;
        let kinesis = serve_kinesis(&runtime)?;
        drop(inside);
        Ok(Emulators { dynamodb, kinesis, runtime: Some(runtime) })
    }

    /// The endpoint of DynamoDB and of DynamoDB Streams.
    pub fn dynamodb_url(&self) -> String {
        format!("http://{}", self.dynamodb)
    }

    /// The endpoint of Kinesis.
    pub fn kinesis_url(&self) -> String {
        format!("http://{}", self.kinesis)
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        // In the background, since a runtime may not be dropped from within async code.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn serve_dynamodb(runtime: &Runtime) -> Result<SocketAddr, DemoError> {
    let database = open_database()?;
    let (listener, address) = bind("the DynamoDB emulator")?;
    runtime.spawn(dynoxide::server::serve_on(listener, database));
    Ok(address)
}

/// An empty database in memory.
///
/// The emulator asks for a table's highest sequence number with every write and has no index for it, so its writes
/// would slow down with every change made. It gets one: the database is opened under a name, as SQLite allows for
/// shared memory, so that a second connection can add it.
fn open_database() -> Result<dynoxide::Database, DemoError> {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let number = OPENED.fetch_add(1, Ordering::Relaxed);
    let name = format!("file:emulator-{number}?mode=memory&cache=shared");
    let database = dynoxide::Database::new(&name)
        .map_err(|error| DemoError::new("open the DynamoDB emulator's database", error))?;
    rusqlite::Connection::open(&name)
        .and_then(|connection| connection.execute_batch(SEQUENCE_INDEX))
        .map_err(|error| DemoError::new("add an index to the DynamoDB emulator's database", error))?;
    Ok(database)
}

fn serve_kinesis(runtime: &Runtime) -> Result<SocketAddr, DemoError> {
    let options = StoreOptions {
        // Real limits a shard, so that throttled entries are part of every run.
        enforce_limits: true,
        shard_limit: SHARD_LIMIT,
        create_stream_ms: 0,
        delete_stream_ms: 0,
        update_stream_ms: 0,
        // As on AWS, where the default would be an hour's demo too short.
        iterator_ttl_seconds: 900,
        ..StoreOptions::default()
    };
    let (app, _store) = ferrokinesis::create_app(options);
    let app = app.layer(from_fn_with_state(Arc::new(RwLock::new(())), reads_apart_from_writes));
    let (listener, address) = bind("the Kinesis emulator")?;
    runtime.spawn(async move {
        // Serving never returns by itself: axum retries failed accepts.
        let _ended = axum::serve(listener, app).await;
    });
    Ok(address)
}

/// Lets no GetRecords run beside any other call. The emulator numbers a record before it stores it, so a reader in
/// between would skip it for good; and a reader that has to wait holds a lock that writers block their threads for.
async fn reads_apart_from_writes(
    State(calls): State<Arc<RwLock<()>>>,
    request: Request,
    next: Next,
) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    if target.is_some_and(|target| target.ends_with(".GetRecords")) {
        let _alone = calls.write().await;
        next.run(request).await
    } else {
        let _shared = calls.read().await;
        next.run(request).await
    }
}

fn bind(whose: &str) -> Result<(tokio::net::TcpListener, SocketAddr), DemoError> {
    let doing = || format!("bind a port on 127.0.0.1 for {whose}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| DemoError::new(doing(), e))?;
    listener.set_nonblocking(true).map_err(|e| DemoError::new(doing(), e))?;
    let address = listener.local_addr().map_err(|e| DemoError::new(doing(), e))?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| DemoError::new(doing(), e))?;
    Ok((listener, address))
}
