//! What a pattern asks for that the changes it is held against never have.

use super::{Field, Node, Object, Pattern, Place, Rule};

/// A member of the record that a pattern cannot match without, and which is never there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    /// From the record down, such as `dynamodb.NewImage`.
    pub name: String,
    /// Where the pattern names it.
    pub place: Place,
}

impl Pattern {
    /// What keeps the pattern from ever matching, where members of `dynamodb` are there by `is_there`, which is asked for a
    /// member's name and, below it, for an attribute's. All else is taken to be there, and to match.
    pub(crate) fn never_there(&self, is_there: impl Fn(&str, Option<&str>) -> bool) -> Option<Lack> {
        lack_in(&self.root, |field| match &field.node {
            Node::Object(change) if field.name == "dynamodb" => {
                lack_in(change, |member| lack_of_member(member, &is_there))
            }
            _ => None,
        })
    }
}

fn lack_of_member(member: &Field, is_there: &impl Fn(&str, Option<&str>) -> bool) -> Option<Lack> {
    if !is_there(&member.name, None) {
        return lack(member, format!("dynamodb.{}", member.name));
    }
    let Node::Object(attributes) = &member.node else { return None };
    lack_in(attributes, |attribute| match is_there(&member.name, Some(&attribute.name)) {
        true => None,
        false => lack(attribute, format!("dynamodb.{}.{}", member.name, attribute.name)),
    })
}

/// What a field lacks where nothing is.
fn lack(field: &Field, name: String) -> Option<Lack> {
    field.node.needs_presence().then_some(Lack { name, place: field.place })
}

/// What keeps an object from matching, by what keeps each of its fields.
fn lack_in(object: &Object, of_field: impl Fn(&Field) -> Option<Lack>) -> Option<Lack> {
    object.rule.lack(&|index| of_field(&object.fields[index]))
}

impl Rule {
    fn lack(&self, of_field: &impl Fn(usize) -> Option<Lack>) -> Option<Lack> {
        match self {
            Self::Field(index) => of_field(*index),
            Self::All(rules) => rules.iter().find_map(|rule| rule.lack(of_field)),
            Self::Any(rules) => {
                let all: Option<Vec<Lack>> = rules.iter().map(|rule| rule.lack(of_field)).collect();
                all?.into_iter().next()
            }
        }
    }
}
