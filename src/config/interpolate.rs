//! `${VAR}` inside a string: the environment's value, put in once (a value's own `${…}` stays as it is).

/// `text` with every `${VAR}` replaced by `env`'s answer; `$${` stands for a literal `${`, any other `$` for itself.
///
/// # Errors
/// A sentence naming the variable that is not set, or the `${` that names none.
pub(super) fn interpolate(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (name, after) = variable_name(after)?;
            out.push_str(&env(name).ok_or_else(|| {
                format!(
                    "the environment variable {name} is not set (or not UTF-8); set it, or write $${{{name}}} for \
                     a literal ${{{name}}}"
                )
            })?);
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Splits `NAME}rest` after `${`.
fn variable_name(text: &str) -> Result<(&str, &str), String> {
    let split = text.split_once('}').filter(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    split.ok_or_else(|| {
        "`${` is not followed by an environment variable's name and `}`; write ${NAME}, or $${ for a literal ${"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, String> {
        interpolate(text, &|name| match name {
            "A" => Some("alpha".to_owned()),
            "NESTED" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn replaces_variables_and_keeps_the_rest() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${A}", "alpha"),
            ("x-${A}-é-${A}y", "x-alpha-é-alphay"),
            ("${EMPTY}", ""),
            ("${NESTED}", "${A}"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$A $ $$ 5$", "$A $ $$ 5$"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        assert!(run("${MISSING}").unwrap_err().contains("variable MISSING is not set"));
        for text in ["${", "${A", "${}", "${A B}", "${1A}", "${é}", "${${A}}"] {
            assert!(run(text).unwrap_err().contains("write ${NAME}"), "{text}");
        }
    }
}
