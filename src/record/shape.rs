//! An image without some of its attributes.

use super::walk::members;
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// The image with the attributes that `take` wants, each byte for byte and in its place; `None` when those are all.
pub(super) fn cut(image: Json<'_>, take: impl Fn(JsonStr<'_>) -> bool) -> Option<String> {
    let (mut text, mut left_out) = (String::with_capacity(image.get().len()), false);
    let walked = members(image.get(), |name, value| {
        if !take(name) {
            left_out = true;
            return;
        }
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(name.as_json());
        text.push(':');
        text.push_str(value.get());
    });
    // An image is an object; were it none, none of it would be known to be wanted.
    let whole = walked.is_some() && !left_out;
    if walked.is_none() {
        text.clear();
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    if whole { None } else { Some(text) }
}
