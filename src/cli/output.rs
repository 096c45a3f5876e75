//! Writing to the terminal or pipe: neither a closed standard output nor a closed standard error may panic.

use std::io::{self, ErrorKind, Write};

use super::failure::Failure;

/// Writes `text` to standard output. A reader that has gone away (`… | head -1`) has what it wanted: no failure.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    print_to_reader(text).map(drop)
}

/// The same; false when the reader has gone away.
pub(super) fn print_to_reader(text: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::runtime(format!("standard output cannot be written: {error}"))),
    }
}

/// Writes `error: …` to standard error, as well as that can be done.
pub(super) fn print_error(failure: &Failure) {
    let _ = writeln!(io::stderr(), "error: {failure}");
}
