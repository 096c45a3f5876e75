//! Writes JSON in every way that its grammar allows: white space, escapes, the order of members.

use crate::choices::Choices;

/// A writer of JSON text, and the choices it has.
pub struct Pen<'c, 'b> {
    pub choices: &'c mut Choices<'b>,
    /// Whether there is white space between tokens.
    spaced: bool,
    /// Whether characters are escaped that need not be.
    escaped: bool,
}

impl<'c, 'b> Pen<'c, 'b> {
    pub fn new(choices: &'c mut Choices<'b>) -> Self {
        let style = choices.byte();
        Self { choices, spaced: style & 1 == 1, escaped: style & 2 == 2 }
    }

    fn space(&mut self) -> &'static str {
        if self.spaced { self.choices.one_of(&["", " ", "\n", "\t ", "\r\n"]) } else { "" }
    }

    /// A string token that means `text`.
    pub fn token(&mut self, text: &str) -> String {
        let mut token = String::from("\"");
        for c in text.chars() {
            let short = match c {
                '"' => Some("\\\""),
                '\\' => Some("\\\\"),
                '/' => Some("\\/"),
                '\u{8}' => Some("\\b"),
                '\u{c}' => Some("\\f"),
                '\n' => Some("\\n"),
                '\r' => Some("\\r"),
                '\t' => Some("\\t"),
                _ => None,
            };
            let must = matches!(c, '"' | '\\') || c < ' ';
            let may = self.escaped && self.choices.once_in(4);
            match short {
                Some(short) if (must || may) && !(self.escaped && self.choices.once_in(3)) => {
                    token.push_str(short)
                }
                _ if must || may => self.push_units(&mut token, c),
                _ => token.push(c),
            }
        }
        token.push('"');
        token
    }

    fn push_units(&mut self, token: &mut String, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let digits = if self.choices.once_in(2) { format!("{unit:04X}") } else { format!("{unit:04x}") };
            token.push_str("\\u");
            token.push_str(&digits);
        }
    }

    /// Any text: letters, what JSON escapes, and characters of one to four bytes.
    pub fn text(&mut self, max: usize) -> String {
        const LETTERS: [char; 24] = [
            'a',
            'b',
            '0',
            '7',
            ' ',
            ':',
            ',',
            '{',
            '}',
            '[',
            ']',
            '"',
            '\\',
            '/',
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            'é',
            '\u{2028}',
            '漢',
            '\u{ffff}',
            '😀',
            '\u{10ffff}',
        ];
        self.choices.some(max, |choices| choices.one_of(&LETTERS)).into_iter().collect()
    }

    /// A string token of any text; now and then with half a surrogate pair, which means nothing but is JSON.
    pub fn any_token(&mut self) -> String {
        let text = self.text(8);
        let mut token = self.token(&text);
        if self.choices.once_in(60) {
            token.insert_str(1, self.choices.one_of(&["\\ud800", "\\uDFFF", "\\udbffx"]));
        }
        token
    }

    /// An object of members that are written already.
    pub fn object(&mut self, members: &[(String, String)]) -> String {
        let parts = members.iter().map(|(name, value)| {
            let (before, after) = (self.space(), self.space());
            format!("{name}{before}:{after}{value}")
        });
        let parts: Vec<String> = parts.collect();
        self.enclose("{", &parts, "}")
    }

    pub fn array(&mut self, elements: &[String]) -> String {
        self.enclose("[", elements, "]")
    }

    fn enclose(&mut self, open: &str, parts: &[String], close: &str) -> String {
        let mut out = open.to_owned();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                out.push_str(self.space());
                out.push(',');
            }
            out.push_str(self.space());
            out.push_str(part);
        }
        out.push_str(self.space());
        out + close
    }

    /// White space around a whole text.
    pub fn framed(&mut self, json: &str) -> String {
        let (before, after) = (self.space(), self.space());
        format!("{before}{json}{after}")
    }

    /// Any number that JSON can write.
    pub fn number(&mut self) -> String {
        let sign = if self.choices.once_in(3) { "-" } else { "" };
        let whole = if self.choices.once_in(3) { "0".to_owned() } else { self.digits(37) };
        let fraction = if self.choices.once_in(3) { format!(".0{}", self.digits(20)) } else { String::new() };
        let exponents = ["", "", "", "e5", "E-130", "e+125", "E0", "e-007", "E4000000000"];
        let exponent = self.choices.one_of(&exponents);
        format!("{sign}{whole}{fraction}{exponent}")
    }

    /// One digit that is not zero, and up to so many more.
    pub fn digits(&mut self, more: usize) -> String {
        let first = char::from(b'1' + self.choices.byte() % 9);
        let rest = self.choices.some(more, |choices| char::from(b'0' + choices.byte() % 10));
        std::iter::once(first).chain(rest).collect()
    }

    /// Any JSON.
    pub fn anything(&mut self, depth: usize) -> String {
        match self.choices.below(if depth == 0 { 4 } else { 6 }) {
            0 => "null".to_owned(),
            1 => self.choices.one_of(&["true", "false"]).to_owned(),
            2 => self.any_token(),
            3 => self.number(),
            4 => {
                let elements: Vec<_> = (0..self.choices.below(4)).map(|_| self.anything(depth - 1)).collect();
                self.array(&elements)
            }
            _ => {
                let count = self.choices.below(4);
                let members: Vec<_> =
                    (0..count).map(|_| (self.any_token(), self.anything(depth - 1))).collect();
                self.object(&members)
            }
        }
    }
}
