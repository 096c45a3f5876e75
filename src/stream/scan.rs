//! Where JSON's tokens and values end.
//!
//! A scan checks all that it passes against JSON's grammar, takes what serde_json takes, and builds nothing. It does not
//! recurse, so that a value may be nested as deep as it likes. A number need fit no machine's, an escape may be half a
//! surrogate pair, and a string need not be UTF-8: whoever takes a string looks at that.

/// A place in a body. After an error it is where that shows.
///
/// What is small is inlined into the loops over values and members, and those work on a copy of the scan, whose place
/// stays in a register.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
}

/// Why a scan cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The body ends in the middle.
    EndsEarly,
    /// Something else than JSON.
    NotJson,
}

/// Where a string stands, its quotes included.
#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) from: usize,
    pub(super) end: usize,
    pub(super) has_escapes: bool,
}

type Passed<T = ()> = Result<T, Broken>;

/// In place of a closing bracket, where none is open.
const NONE: u8 = 0;

impl Scan<'_> {
    /// The next byte after white space.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Passed<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    /// Passes `byte`, if it is next after white space.
    #[inline(always)]
    pub(super) fn takes(&mut self, byte: u8) -> Passed<bool> {
        // Branches are foretold; an addition of what a comparison gives would be waited for.
        if self.peek()? != byte {
            return Ok(false);
        }
        self.at += 1;
        Ok(true)
    }

    /// Passes a comma, which another member or element follows, or the closing bracket.
    #[inline(always)]
    pub(super) fn goes_on(&mut self, close: u8) -> Passed<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(Broken::NotJson),
        }
    }

    /// Passes a member's name and its colon.
    #[inline(always)]
    pub(super) fn name(&mut self) -> Passed<Token> {
        self.by_a_copy(Self::pass_name)
    }

    /// Passes a value of any kind. `open` is room for the brackets that wait to be closed.
    #[inline(always)]
    pub(super) fn value(&mut self, open: &mut Vec<u8>) -> Passed {
        match self.peek()? {
            b'"' => self.by_a_copy(Self::pass_string).map(drop),
            b'{' | b'[' => self.nested(open),
            _ => self.scalar(),
        }
    }

    #[inline(never)]
    fn nested(&mut self, open: &mut Vec<u8>) -> Passed {
        self.by_a_copy(|scan| scan.pass_nested(open))
    }

    #[inline(always)]
    fn pass_nested(&mut self, open: &mut Vec<u8>) -> Passed {
        open.clear();
        let mut close = NONE;
        loop {
            match self.peek()? {
                b'"' => drop(self.pass_string()?),
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    // ASCII has each closing bracket second after its opening one.
                    let closing = bracket + 2;
                    if !self.takes(closing)? {
                        // The outermost waits for nothing: a value without another inside allocates nothing.
                        if close != NONE {
                            open.push(close);
                        }
                        close = closing;
                        if close == b'}' {
                            self.pass_inner_name()?;
                        }
                        continue;
                    }
                }
                _ => self.by_a_copy(Self::scalar)?,
            }
            // A value is behind; what is closed after it is one, too.
            loop {
                if close == NONE {
                    return Ok(());
                }
                if self.goes_on(close)? {
                    if close == b'}' {
                        self.pass_inner_name()?;
                    }
                    break;
                }
                close = open.pop().unwrap_or(NONE);
            }
        }
    }

    /// Passes a name and its colon within a value. Many are one letter there: DynamoDB's types.
    #[inline(always)]
    fn pass_inner_name(&mut self) -> Passed {
        if let Some([b'"', b'A'..=b'Z', b'"', b':']) = self.body.get(self.at..self.at + 4) {
            self.at += 4;
            return Ok(());
        }
        self.pass_name().map(drop)
    }

    #[inline(always)]
    fn pass_name(&mut self) -> Passed<Token> {
        if self.peek()? != b'"' {
            return Err(Broken::NotJson);
        }
        let token = self.pass_string()?;
        if self.takes(b':')? { Ok(token) } else { Err(Broken::NotJson) }
    }

    /// Passes a string, whose opening quote is next.
    #[inline(always)]
    fn pass_string(&mut self) -> Passed<Token> {
        let from = self.at;
        let mut has_escapes = false;
        self.at += 1;
        loop {
            self.at = special(self.body, self.at);
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Ok(Token { from, end: self.at, has_escapes });
                }
                b'\\' => {
                    has_escapes = true;
                    self.pass_escape()?;
                }
                _ => return Err(Broken::NotJson),
            }
        }
    }

    /// Passes an escape, whose backslash is next.
    #[inline(always)]
    fn pass_escape(&mut self) -> Passed {
        match self.body.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            _ => self.by_a_copy(Self::long_escape),
        }
    }

    /// Calls what is not inlined, and keeps this scan out of memory.
    #[inline(always)]
    fn by_a_copy<T>(&mut self, pass: impl FnOnce(&mut Self) -> Passed<T>) -> Passed<T> {
        let mut scan = *self;
        let passed = pass(&mut scan);
        self.at = scan.at;
        passed
    }

    #[inline(always)]
    fn byte(&self) -> Passed<u8> {
        self.body.get(self.at).copied().ok_or(Broken::EndsEarly)
    }

    /// Passes an escape of four hexadecimal digits.
    #[inline(never)]
    fn long_escape(&mut self) -> Passed {
        self.word(b"\\u")?;
        for _ in 0..4 {
            if !self.byte()?.is_ascii_hexdigit() {
                return Err(Broken::NotJson);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Passes a number, `true`, `false` or `null`.
    #[inline(never)]
    fn scalar(&mut self) -> Passed {
        match self.byte()? {
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Passed {
        for letter in word {
            if self.byte()? != *letter {
                return Err(Broken::NotJson);
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Passed {
        self.pass_any(b"-");
        // Nothing but a point or an exponent follows a leading zero.
        if !self.pass_any(b"0") {
            self.digits()?;
        }
        if self.pass_any(b".") {
            self.digits()?;
        }
        if self.pass_any(b"eE") {
            self.pass_any(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Passed {
        if !self.byte()?.is_ascii_digit() {
            return Err(Broken::NotJson);
        }
        while self.body.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    /// Passes one byte, if it is any of these.
    fn pass_any(&mut self, these: &[u8]) -> bool {
        let is_any = self.body.get(self.at).is_some_and(|byte| these.contains(byte));
        self.at += usize::from(is_any);
        is_any
    }
}

/// The first quote, backslash or control character from `at` on; the body's end, if there is none.
///
/// Eight bytes at a time: a byte of `found` has its highest bit set where it is one of them. Subtracting borrows that
/// bit where a byte is less, and may go on to spoil those above, so only the lowest is believed. Flipping a 2 makes the
/// quote the next above the control characters, and the space one beyond.
#[inline(always)]
fn special(body: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    while let Some(word) =
        body.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes)
    {
        let control_or_quote = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
        let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
        let found = (control_or_quote | backslash) & !word & HIGHEST;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while body.get(at).is_some_and(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')) {
        at += 1;
    }
    at
}
