//! What a pattern asks for that a table's stream never has.

use super::{Node, Pattern, Place};

impl Pattern {
    /// The first member of `dynamodb` that must be there and is not, by `is_there`, which is asked for its name and, in
    /// `Keys`, for the attribute's.
    pub(crate) fn never_there(
        &self,
        is_there: impl Fn(&str, Option<&str>) -> bool,
    ) -> Option<(String, Place)> {
        let changes = self.root.fields.iter().filter(|field| field.name == "dynamodb");
        let objects = changes.filter_map(|field| match &field.node {
            Node::Object(object) => Some(object),
            Node::Leaf(_) => None,
        });
        for member in objects.flat_map(|object| &object.fields) {
            if !is_there(&member.name, None) && member.node.needs_presence() {
                return Some((format!("dynamodb.{}", member.name), member.place));
            }
            let Node::Object(attributes) = &member.node else { continue };
            let mut needed = attributes.fields.iter().filter(|attribute| attribute.node.needs_presence());
            let lacking = needed.find(|attribute| !is_there(&member.name, Some(&attribute.name)));
            if let Some(attribute) = lacking {
                return Some((format!("dynamodb.{}.{}", member.name, attribute.name), attribute.place));
            }
        }
        None
    }
}
