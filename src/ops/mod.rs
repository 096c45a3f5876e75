//! Operations: what the process shows of itself while it runs. It reports; it never decides anything about the data.

pub mod ask;
pub mod board;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod pulse;
pub mod repeats;
pub mod shown;
pub mod vitals;
pub mod words;
