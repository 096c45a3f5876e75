use proptest::prelude::*;

use super::*;

fn schema(sort_key: Option<&str>) -> KeySchema {
    KeySchema { partition_key: "pk".to_owned(), sort_key: sort_key.map(str::to_owned) }
}

fn raw(json: &str) -> Json<'_> {
    serde_json::from_str(json).expect("JSON")
}

fn key(keys: &str) -> Result<String, KeyError> {
    schema(Some("sk")).kinesis_key(PartitionKeyMode::PartitionKey, raw(keys)).map(|key| key.to_string())
}

fn item_key(keys: &str) -> Result<String, KeyError> {
    schema(Some("sk")).kinesis_key(PartitionKeyMode::ItemKey, raw(keys)).map(|key| key.to_string())
}

/// The keys of an item whose key attributes are strings.
fn strings(pk: &str, sk: &str) -> String {
    serde_json::json!({"sk": {"S": sk}, "pk": {"S": pk}}).to_string()
}

#[test]
fn each_type_is_its_own_text() {
    let as_key = |value: &str| key(&format!(r#"{{"sk":{{"S":"z"}},"pk":{value}}}"#));
    assert_eq!(as_key(r#"{"S":"order 7"}"#).as_deref(), Ok("order 7"));
    assert_eq!(as_key(r#"{"S":"a\"b\u00e9\ud83d\ude00"}"#).as_deref(), Ok("a\"bé😀"));
    assert_eq!(as_key(r#"{"S":"grün"}"#).as_deref(), Ok("grün"));
    let digits = "12345678901234567890123456789012345678";
    assert_eq!(as_key(&format!(r#"{{"N":"{digits}"}}"#)).as_deref(), Ok(digits));
    assert_eq!(as_key(r#"{"N":"-0.50"}"#).as_deref(), Ok("-0.50"));
    assert_eq!(as_key(r#"{"B":"AAH/+w=="}"#).as_deref(), Ok("AAH/+w=="));
    assert_eq!(as_key(r#"{"B":"AAH\/+w=="}"#).as_deref(), Ok("AAH/+w=="));
}

#[test]
fn attribute_names_compare_unescaped() {
    let schema = KeySchema { partition_key: "grün\"".to_owned(), sort_key: None };
    for keys in [r#"{"gr\u00fcn\"":{"S":"a"}}"#, r#"{"grün\u0022":{"S":"a"}}"#] {
        assert_eq!(schema.kinesis_key(PartitionKeyMode::PartitionKey, raw(keys)).as_deref(), Ok("a"));
    }
}

#[test]
fn the_limit_counts_characters() {
    for letter in ["x", "é", "漢", "😀"] {
        let fits = letter.repeat(256);
        assert_eq!(key(&strings(&fits, "")), Ok(fits));
        let hashed = key(&strings(&letter.repeat(257), "")).expect("a key");
        assert_eq!(hashed, sha256_hex(letter.repeat(257).as_bytes()));
        assert_eq!(hashed.len(), 64);
    }
}

#[test]
fn hashes_are_sha256_in_lower_case_hexadecimal() {
    // From sha256sum.
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(
        key(&strings(&"x".repeat(257), "")).as_deref(),
        Ok("15eb95a462ee20bd91a415ae2d4aed341288186ddaa2b37908f7d592f0c3f85f")
    );
}

#[test]
fn a_long_binary_key_hashes_its_base64() {
    let base64 = "QUJD".repeat(65);
    let keys = format!(r#"{{"pk":{{"B":"{base64}"}}}}"#);
    assert_eq!(key(&keys), Ok(sha256_hex(base64.as_bytes())));
}

#[test]
fn an_empty_key_is_hashed_to_one_that_kinesis_takes() {
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(key(&strings("", "a")).as_deref(), Ok(hash));
    assert_eq!(item_key(&strings("", "")).as_deref(), Ok("0:"));
}

#[test]
fn an_item_key_has_both_parts_and_the_first_ones_length_in_bytes() {
    assert_eq!(item_key(&strings("ab", "c")).as_deref(), Ok("2:abc"));
    assert_eq!(item_key(&strings("a", "bc")).as_deref(), Ok("1:abc"));
    assert_eq!(item_key(&strings("é", "")).as_deref(), Ok("2:é"));
    assert_eq!(item_key(r#"{"pk":{"N":"-1.5"},"sk":{"B":"AA=="}}"#).as_deref(), Ok("4:-1.5AA=="));
    let without_sort_key = schema(None).kinesis_key(PartitionKeyMode::ItemKey, raw(r#"{"pk":{"S":"ab"}}"#));
    assert_eq!(without_sort_key.as_deref(), Ok("2:ab"));
}

#[test]
fn an_item_key_is_hashed_as_a_whole() {
    // `100:` and 252 characters are 256.
    let (pk, sk) = ("p".repeat(100), "s".repeat(152));
    assert_eq!(item_key(&strings(&pk, &sk)), Ok(format!("100:{pk}{sk}")));
    let longer = format!("{sk}s");
    let hashed = item_key(&strings(&pk, &longer));
    assert_eq!(hashed, Ok(sha256_hex(format!("100:{pk}{longer}").as_bytes())));
}

#[test]
fn errors_name_the_attribute_and_no_value() {
    let missing = |attribute: &str| Err(KeyError::Missing { attribute: attribute.to_owned() });
    assert_eq!(key(r#"{"sk":{"S":"secret"}}"#), missing("pk"));
    assert_eq!(item_key(r#"{"pk":{"S":"secret"}}"#), missing("sk"));
    assert_eq!(key(r#"{"pk":{"S":"only what the mode needs"}}"#).as_deref(), Ok("only what the mode needs"));
    for value in [
        r#"{"BOOL":true}"#,
        r#"{"S":1}"#,
        r#"{"N":1}"#,
        r#"{"S":"a","N":"1"}"#,
        "{}",
        "null",
        r#""S""#,
        r#"{"S":"\ud800"}"#,
        r#"{"SS":["secret"]}"#,
    ] {
        let error = key(&format!(r#"{{"pk":{value}}}"#)).expect_err(value);
        assert_eq!(error, KeyError::NotAKey { attribute: "pk".to_owned() }, "{value}");
        assert!(!error.to_string().contains("secret"));
    }
    assert_eq!(key("[]"), Err(KeyError::NotAnItem));
    assert_eq!(key(r#"{"\ud800":{"S":"a"}}"#), Err(KeyError::NotAnItem));
}

/// Texts that are likely to run into each other: digits and colons, and lengths around the limit.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[0-2:aé]{0,5}",
        1 => ("[0-2:aé]{0,2}", 250_usize..258).prop_map(|(end, length)| "1".repeat(length) + &end),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn two_items_never_share_an_item_key(a in (part(), part()), b in (part(), part())) {
        let (key_a, key_b) = (item_key(&strings(&a.0, &a.1)), item_key(&strings(&b.0, &b.1)));
        prop_assert_eq!(a == b, key_a == key_b);
    }

    #[test]
    fn splits_of_one_text_never_share_an_item_key(text in "[0-9:]{1,20}", one: prop::sample::Index, two: prop::sample::Index) {
        let (one, two) = (one.index(text.len()), two.index(text.len()));
        let split = |at: usize| item_key(&strings(&text[..at], &text[at..]));
        prop_assert_eq!(one == two, split(one) == split(two));
    }

    #[test]
    fn every_key_is_one_that_kinesis_takes(pk in part(), sk in part()) {
        for mode in [PartitionKeyMode::PartitionKey, PartitionKeyMode::ItemKey] {
            let keys = strings(&pk, &sk);
            let key = schema(Some("sk")).kinesis_key(mode, raw(&keys))
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!((1..=MAX_CHARACTERS).contains(&key.chars().count()));
        }
    }
}
