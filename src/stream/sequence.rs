use std::fmt;
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(std::sync::Arc<str>);
impl SequenceNumber {
    pub fn parse(s: &str) -> Result<Self, String> {
        Ok(SequenceNumber(s.into()))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for SequenceNumber {
    fn cmp(&self, o: &Self) -> std::cmp::Ordering {
        let a = self.0.trim_start_matches('0');
        let b = o.0.trim_start_matches('0');
        a.len().cmp(&b.len()).then(a.cmp(b))
    }
}
impl serde::Serialize for SequenceNumber {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
impl<'de> serde::Deserialize<'de> for SequenceNumber {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        SequenceNumber::parse(&s).map_err(serde::de::Error::custom)
    }
}
