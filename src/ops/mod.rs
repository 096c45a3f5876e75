//! Operations: what the process shows of itself while it runs. It reports; it never decides anything about the data.

pub mod ask;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod repeats;
