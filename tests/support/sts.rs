//! AWS STS, as far as a program that assumes roles needs it: roles that trust whoever brings their external id, and
//! sessions that end.
//!
//! Owns the roles, the sessions granted and what a request signed with one must show. Its protocol is the Query
//! protocol: a form in, XML out.

use std::collections::BTreeMap;

use axum::http::request::Parts;
use serde_json::{Map, Value, json};

use super::answer::{ApiError, ApiResult, Input};
use super::signature;
use super::world::World;

/// A role that can be assumed.
#[derive(Clone, Debug)]
pub struct Role {
    /// What its trust policy asks for.
    pub external_id: Option<String>,
    /// How long its sessions last, in whole seconds as AWS has it. AWS grants no less than 15 minutes.
    pub lasts_s: u64,
}

/// A session that was granted.
#[derive(Clone, Debug)]
pub struct Session {
    pub role_arn: String,
    pub session_name: String,
    pub secret: String,
    pub token: String,
    /// Seconds of the epoch. A request signed in that second or later is refused.
    pub ends_s: u64,
}

#[derive(Debug, Default)]
pub struct Sts {
    pub roles: BTreeMap<String, Role>,
    /// By access key id, in the order in which they were granted.
    pub sessions: BTreeMap<String, Session>,
}

impl Sts {
    /// How many sessions of this role were granted.
    pub fn granted(&self, role_arn: &str) -> usize {
        self.of(role_arn).count()
    }

    /// The sessions of this role, the first granted first.
    pub fn of<'a>(&'a self, role_arn: &'a str) -> impl Iterator<Item = &'a Session> {
        self.sessions.values().filter(move |session| session.role_arn == role_arn)
    }

    /// The secret that a request with this access key id must be signed with; `None` where it is no session's. The
    /// request's own time is what counts, not that of its arrival: a busy machine may hold it up.
    pub fn secret_for(&self, parts: &Parts, access_key_id: &str) -> Result<Option<String>, ApiError> {
        let Some(session) = self.sessions.get(access_key_id) else { return Ok(None) };
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if header("x-amz-security-token") != Some(&session.token) {
            let message = "The security token included in the request is invalid.";
            return Err(ApiError::new(400, "UnrecognizedClientException", message));
        }
        if signature::signed_at_s(parts).is_none_or(|at| at >= session.ends_s) {
            let message = "The security token included in the request is expired";
            return Err(ApiError::new(400, "ExpiredTokenException", message));
        }
        Ok(Some(session.secret.clone()))
    }
}

pub fn assume_role(world: &mut World, input: &Value) -> ApiResult {
    let known = ["Action", "Version", "RoleArn", "RoleSessionName", "ExternalId"];
    let input = Input::new(input, &known)?;
    let (arn, name) = (input.required("RoleArn")?, input.required("RoleSessionName")?);
    let role = world.sts.roles.get(arn).filter(|role| {
        role.external_id.is_none() || role.external_id.as_deref() == input.text("ExternalId").ok().flatten()
    });
    let Some(role) = role.cloned() else {
        let message = format!(
            "User: arn:aws:iam::123456789012:user/bridge is not authorized to perform: sts:AssumeRole on resource: {arn}"
        );
        return Err(ApiError::new(403, "AccessDenied", message));
    };
    let number = world.sts.sessions.len();
    let id = format!("ASIAFAKE{number:08}");
    let ends_s = world.now_ms() / 1_000 + role.lasts_s;
    let session = Session {
        role_arn: arn.to_owned(),
        session_name: name.to_owned(),
        secret: format!("secret-{number}"),
        token: format!("token-{number}"),
        ends_s,
    };
    world.sts.sessions.insert(id.clone(), session.clone());
    let end = aws_smithy_types::DateTime::from_secs(i64::try_from(ends_s).unwrap_or(i64::MAX));
    let end =
        end.fmt(aws_smithy_types::date_time::Format::DateTime).expect("a time that has a calendar date");
    Ok(json!({
        "AccessKeyId": id, "SecretAccessKey": session.secret, "SessionToken": session.token, "Expiration": end,
    }))
}

/// A form's members as an object, so that the log holds STS' requests like all others.
pub fn form(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let members = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.to_owned(), Value::String(plain(value)?)))
    });
    members.collect::<Option<Map<String, Value>>>().map(Value::Object)
}

/// Undoes a form's escapes.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The answer to AssumeRole.
pub fn granted_xml(credentials: &Value) -> String {
    let members: String = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]
        .map(|name| format!("<{name}>{}</{name}>", credentials[name].as_str().unwrap_or_default()))
        .concat();
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>{members}</Credentials></AssumeRoleResult><ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></AssumeRoleResponse>"#
    )
}

pub fn error_xml(error: &ApiError) -> String {
    let who = if error.status >= 500 { "Receiver" } else { "Sender" };
    let (code, message) = (&error.code, error.message.replace('&', "&amp;").replace('<', "&lt;"));
    format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>{who}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"#
    )
}
