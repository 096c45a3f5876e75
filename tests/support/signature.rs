//! Checks a request's signature (AWS Signature Version 4) as AWS does: over the body that arrived.
//!
//! Owns nothing. A client that signs a body other than the one it sends is found out here, which no emulator does.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::http::request::Parts;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::answer::ApiError;

/// Refuses a request that is not signed with `secret`.
pub fn verify(parts: &Parts, body: &[u8], secret: &str) -> Result<(), ApiError> {
    let authorization = header(parts, "authorization").ok_or_else(|| {
        ApiError::new(400, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
    })?;
    let member = |name: &str| {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?;
        fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let incomplete = || ApiError::new(400, "IncompleteSignatureException", "Authorization lacks a part");
    let credential = member("Credential").ok_or_else(incomplete)?;
    let signed_headers = member("SignedHeaders").ok_or_else(incomplete)?;
    let signature = member("Signature").ok_or_else(incomplete)?;
    let (_, scope) = credential.split_once('/').ok_or_else(incomplete)?;
    let date = header(parts, "x-amz-date").ok_or_else(incomplete)?;

    let canonical_headers: String = signed_headers
        .split(';')
        .map(|name| {
            let value = header(parts, name).unwrap_or_default();
            format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{canonical_headers}\n{signed_headers}\n{}",
        parts.method,
        parts.uri.path(),
        parts.uri.query().unwrap_or_default(),
        hex(&Sha256::digest(body)),
    );
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| keyed(&key, part));
    if hex(&keyed(&key, &to_sign)) == signature {
        Ok(())
    } else {
        let message = "The request signature we calculated does not match the signature you provided.";
        Err(ApiError::new(400, "InvalidSignatureException", message))
    }
}

/// Who signed a request, and for which Region.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub region: &'a str,
}

/// Who signed the request, whether or not the signature is right.
pub fn signer(parts: &Parts) -> Option<Signer<'_>> {
    let (_, credential) = header(parts, "authorization")?.split_once("Credential=")?;
    // id/date/Region/service/aws4_request
    let mut members = credential.split('/');
    Some(Signer { access_key_id: members.next()?, region: members.nth(1)? })
}

/// When it was signed, in seconds of the epoch.
pub fn signed_at_s(parts: &Parts) -> Option<u64> {
    let date = header(parts, "x-amz-date")?;
    let part = |from: usize, to: usize| date.get(from..to);
    let (day, time) = (
        format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?),
        format!("{}:{}:{}", part(9, 11)?, part(11, 13)?, part(13, 15)?),
    );
    let at = DateTime::from_str(&format!("{day}T{time}Z"), Format::DateTime).ok()?;
    u64::try_from(at.secs()).ok()
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
