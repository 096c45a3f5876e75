//! Looking for a pattern in JSON text.

use super::{Found, Node, Object};
use crate::record::walk::{elements, members};
use crate::stream::json::Json;

/// The most members that one object of a pattern names, its `$or` included.
pub(super) const MAX_FIELDS: usize = 64;
/// The deepest arrays in arrays that are followed; DynamoDB's own lists are arrays of objects.
const MAX_ARRAYS: u32 = 128;

impl Node {
    /// Looks for this part in a value.
    pub(super) fn find(&self, json: Json<'_>) -> Found {
        self.find_in(json, 0)
    }

    fn find_in(&self, json: Json<'_>, arrays: u32) -> Found {
        match (json.get().as_bytes().first(), self) {
            (Some(b'['), _) if arrays < MAX_ARRAYS => self.find_in_array(json, arrays + 1),
            (Some(b'{'), Self::Object(object)) => object.find(json),
            (Some(b'[' | b'{'), _) | (_, Self::Object(_)) => self.missing(),
            (_, Self::Leaf(leaf)) => leaf.find(json),
        }
    }

    /// An empty array is as good as none.
    fn find_in_array(&self, json: Json<'_>, arrays: u32) -> Found {
        let (mut least, mut most) = (None::<Found>, Found::No);
        let _ = elements(json.get(), |element| {
            if most != Found::Present {
                let found = self.find_in(element, arrays);
                least = Some(least.map_or(found, |least| least.min(found)));
                most = most.max(found);
            }
        });
        if most == Found::Present { most } else { least.unwrap_or(self.missing()) }
    }
}

impl Object {
    fn find(&self, json: Json<'_>) -> Found {
        let mut found = [Found::No; MAX_FIELDS];
        for (found, field) in found.iter_mut().zip(&self.fields) {
            *found = field.node.missing();
        }
        let walked = members(json.get(), |name, value| {
            for (found, field) in found.iter_mut().zip(&self.fields) {
                // Of two members of one name the last counts.
                if name.is(&field.name) {
                    *found = field.node.find(value);
                }
            }
        });
        match walked {
            Some(()) => self.rule.find(&mut |index| found[index]),
            None => self.missing,
        }
    }
}
