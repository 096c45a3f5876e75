//! Room for large bodies, used again: pages of a megabyte come and go many times a second, and room that is fresh from the
//! system costs a page fault for every four kilobytes.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// So many are kept, beside `memory_limit`, the last one used on top: one is filled while another is read.
const MOST_KEPT: usize = 2;
/// Smaller bodies come from the allocator, which has room for them; larger ones are rare.
const WORTH_KEEPING: std::ops::RangeInclusive<usize> = 128 << 10..=4 << 20;

/// Cheap to clone; clones share what is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty buffer with room for so many bytes.
    pub(super) fn with_capacity(&self, bytes: usize) -> Vec<u8> {
        let kept = if WORTH_KEEPING.contains(&bytes) { self.lock().pop() } else { None };
        kept.filter(|buffer| buffer.capacity() >= bytes).unwrap_or_else(|| Vec::with_capacity(bytes))
    }

    /// The buffer's bytes. When nobody holds them any more, the buffer is kept for the next body.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        if WORTH_KEEPING.contains(&buffer.capacity()) {
            Bytes::from_owner(Lent { buffer, home: self.clone() })
        } else {
            buffer.into()
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that comes home when it is dropped.
struct Lent {
    buffer: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.home.lock();
        if kept.len() < MOST_KEPT {
            self.buffer.clear();
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Buffers, bytes: usize) -> Bytes {
        let mut buffer = buffers.with_capacity(bytes);
        assert!(buffer.is_empty() && buffer.capacity() >= bytes);
        buffer.resize(bytes, b'x');
        buffers.lend(buffer)
    }

    #[test]
    fn a_body_that_nobody_holds_gives_its_room_to_the_next() {
        let buffers = Buffers::default();
        let first = filled(&buffers, 1 << 20);
        let (place, part) = (first.as_ptr(), first.slice(7..9));
        drop(first);
        assert_ne!(filled(&buffers, 1 << 20).as_ptr(), place, "a part of it is held");
        assert_eq!(part, "xx");
        drop(part);
        assert_eq!(filled(&buffers, 1 << 20).as_ptr(), place);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let kept = |buffers: &Buffers| buffers.lock().iter().map(Vec::capacity).sum::<usize>();
        drop([100, 5 << 20].map(|bytes| filled(&buffers, bytes)));
        assert_eq!(kept(&buffers), 0);
        drop([1, 1, 1, 1].map(|mebibytes| filled(&buffers, mebibytes << 20)));
        assert_eq!(kept(&buffers), MOST_KEPT << 20);
    }
}
