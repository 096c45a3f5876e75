#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamArn {
    pub arn: String,
}
