//! Operations: what the process shows of itself while it runs. It reports; it never decides anything about the data.

pub mod ask;
pub mod board;
pub mod emf;
pub mod emf_log;
pub mod exposition;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod page;
pub mod pulse;
pub mod repeats;
pub mod shown;
pub mod systemd;
pub mod vitals;
pub mod words;
