//! The images that a payload was too large to hold.
//!
//! An image is only named here if the change had it: a view type without images truncates nothing.

/// A set of dropped images. The old one goes first, for the new one says more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Truncated {
    /// The item before the change was dropped.
    pub old_image: bool,
    /// The item after the change was dropped.
    pub new_image: bool,
}

impl Truncated {
    /// The payload holds all that the change had.
    pub const NONE: Self = Self { old_image: false, new_image: false };

    /// Whether nothing was dropped.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The dropped images as DynamoDB Streams names them.
    pub fn names(self) -> &'static [&'static str] {
        match (self.old_image, self.new_image) {
            (false, false) => &[],
            (true, false) => &["OldImage"],
            (false, true) => &["NewImage"],
            (true, true) => &["OldImage", "NewImage"],
        }
    }

    /// Drops one image more of those the change has: the old one, then the new one. `None` when none is left.
    pub fn one_more(self, has_old_image: bool, has_new_image: bool) -> Option<Self> {
        if has_old_image && !self.old_image {
            Some(Self { old_image: true, ..self })
        } else if has_new_image && !self.new_image {
            Some(Self { new_image: true, ..self })
        } else {
            None
        }
    }

    /// Writes the payload's last member, `,"truncated":[…]`, if there is something to say.
    pub(super) fn write_member(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.old_image, self.new_image) {
            (false, false) => b"",
            (true, false) => br#","truncated":["OldImage"]"#,
            (false, true) => br#","truncated":["NewImage"]"#,
            (true, true) => br#","truncated":["OldImage","NewImage"]"#,
        });
    }
}
