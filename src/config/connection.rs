//! The connection keys that the lease table, a source and a sink share: `region`, `endpoint_url`, `role_arn`,
//! `external_id`.

use http::Uri;

use super::arn;
use super::section::Section;
use super::settings::Connection;
use super::values::quoted;

/// Reads the connection keys of `section`.
pub(super) fn read(section: &Section<'_>) -> Connection {
    let connection = Connection {
        region: section.parsed("region", "a Region in quotes", region),
        endpoint_url: section.parsed("endpoint_url", "a URL in quotes", endpoint_url),
        role_arn: section.parsed("role_arn", "an IAM role's ARN in quotes", arn::role_arn),
        external_id: section.parsed("external_id", "a string in quotes", external_id),
    };
    if section.has("external_id") && !section.has("role_arn") {
        section.reject(
            "external_id",
            "is only sent when a role is assumed; set role_arn beside it, or remove external_id",
        );
    }
    connection
}

/// An ARN already says its Region: `region` may repeat it but not contradict it, and follows it when absent.
pub(super) fn settle_region(
    section: &Section<'_>,
    key: &str,
    of_arn: Option<&str>,
    connection: &mut Connection,
) {
    let Some(of_arn) = of_arn else { return };
    match &connection.region {
        None => connection.region = Some(of_arn.to_owned()),
        Some(region) if region == of_arn => {}
        Some(region) => section.reject(
            key,
            format!(
                "this ARN is in Region {of_arn:?} but `region` beside it says {region:?}; make them the same, or \
                 remove `region`"
            ),
        ),
    }
}

fn region(text: &str) -> Result<String, String> {
    if arn::is_region(text) {
        return Ok(text.to_owned());
    }
    let found = quoted(text);
    Err(format!(
        "{found} is not an AWS Region; write its code, such as \"eu-central-1\", or leave the key out"
    ))
}

fn endpoint_url(text: &str) -> Result<String, String> {
    const REMEDY: &str =
        r#"write it as "http://HOST:PORT" or "https://HOST", or leave the key out for AWS's own endpoint"#;
    let found = quoted(text);
    let uri: Uri = text.parse().map_err(|_| format!("{found} is not a URL; {REMEDY}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(format!("{found} is not an http or https URL; {REMEDY}"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        // The text holds a password: it is not shown.
        return Err(format!(
            "the URL holds a user name or password, which AWS endpoints do not take; {REMEDY}"
        ));
    }
    if uri.host().is_none_or(str::is_empty) || text.contains(['?', '#']) {
        return Err(format!("{found} is not an endpoint's URL; {REMEDY}"));
    }
    Ok(text.to_owned())
}

/// STS's own rule.
fn external_id(text: &str) -> Result<String, String> {
    let is_valid_char = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if (2..=1224).contains(&text.len()) && text.chars().all(is_valid_char) {
        return Ok(text.to_owned());
    }
    // An external id may be confidential: it is not shown.
    Err("is not an external id; write 2 to 1224 letters, digits or `_+=,.@:/-`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_urls() {
        for good in ["http://127.0.0.1:4566", "https://kinesis.eu-west-1.amazonaws.com", "http://[::1]:1/x"] {
            assert_eq!(endpoint_url(good).as_deref(), Ok(good));
        }
        for bad in
            ["", "localhost:4566", "ftp://h", "http://", "http:///x", "/x", "http://h?a=b", "http://a b"]
        {
            assert!(endpoint_url(bad).unwrap_err().contains("http://HOST:PORT"), "{bad}");
        }
        let error = endpoint_url("http://me:secret@host").unwrap_err();
        assert!(!error.contains("secret") && error.contains("password"), "{error}");
    }

    #[test]
    fn regions_and_external_ids() {
        assert!(region("us-gov-west-1").is_ok());
        assert!(region("").is_err() && region("EU West").is_err());
        assert!(external_id("a:b/c=d").is_ok());
        let error = external_id("hush hush").unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
