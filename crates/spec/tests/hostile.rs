//! Documents that nobody writes by mistake: each gives one clear error, at once, and never a panic.

use spec::parse_config;

/// Its first line, or `None` where it is accepted.
fn refused(bytes: &[u8]) -> Option<String> {
    let violations = parse_config(bytes).err()?;
    assert!(violations.count() >= 1);
    assert!(!violations.first().to_string().contains('\n'));
    assert!(!violations.one_line().contains('\n'));
    Some(violations.first().to_string())
}

fn assert_refused(text: &str, words: &str) {
    let error = refused(text.as_bytes()).unwrap_or_default();
    assert!(error.contains(words), "{text:.100}: {error}");
}

#[test]
fn document_of_another_shape_is_refused() {
    assert_refused("", "must be a JSON object, found nothing");
    assert_refused(" \n\t", "must be a JSON object, found nothing");
    assert_refused("\u{feff}{}", "found a byte order mark");
    assert_refused("null", "must be an object, found null");
    assert_refused("[]", "must be an object, found []");
    assert_refused("7", "must be an object, found 7");
    assert_refused("{}", "/ociVersion: is required");
    assert_refused("{}{}", "trailing characters");
    assert_refused("{} x", "trailing characters");
    assert_refused("{\"a\": 1,}", "trailing comma");
    assert_refused("{'a': 1}", "key must be a string");
    assert_refused("// no comments\n{}", "must be JSON");
    assert_refused("{\"a\": NaN}", "/a: must be JSON");
}

#[test]
fn document_truncated_at_every_byte_is_refused() {
    let text = spec::default_config(None);
    let text = text.trim_end();
    for end in 0..text.len() {
        assert!(refused(&text.as_bytes()[..end]).is_some(), "{end}");
    }
    assert!(parse_config(text.as_bytes()).is_ok());
}

#[test]
fn document_with_any_byte_replaced_does_not_panic() {
    let text = spec::default_config(None).into_bytes();
    for (index, byte) in
        (0..text.len()).flat_map(|index| [0, b'"', b'{', b'9', 0xff].map(|byte| (index, byte)))
    {
        let mut text = text.clone();
        text[index] = byte;
        let _ = parse_config(&text);
    }
}

#[test]
fn document_with_a_nul_in_any_string_is_refused() {
    let text = spec::default_config(None);
    let quotes: Vec<usize> = text.match_indices('"').map(|(index, _)| index).collect();
    for pair in quotes.chunks(2) {
        let with_nul = format!("{}\\u0000{}", &text[..pair[1]], &text[pair[1]..]);
        assert_refused(&with_nul, "must not contain a NUL byte");
    }
}

#[test]
fn document_with_any_key_twice_is_refused() {
    let text = spec::default_config(None);
    let mut keys = 0;
    for (colon, _) in text.match_indices("\": ") {
        let start = text[..colon].rfind('"').unwrap();
        let key = &text[start..=colon];
        let twice = format!("{}{key}: null, {}", &text[..start], &text[start..]);
        assert_refused(&twice, "must have each key once");
        keys += 1;
    }
    assert!(keys > 60);
    assert_refused(r#"{"vendor": {"x": [{"y": 1, "y": 2}]}}"#, "/vendor/x/0/y: must have each key once");
}

#[test]
fn document_with_strange_numbers_is_refused() {
    for (number, words) in [
        ("1e309", "/process/user/uid: must be JSON, found number out of range"),
        ("-0", "must be an id from 0 to 4294967294, found -0.0"),
        ("18446744073709551616", "must be an id"),
        ("1.0", "must be an id"),
        ("01", "must be JSON"),
        ("+1", "must be JSON"),
        ("0x10", "must be JSON"),
        ("99999999999999999999999999999999999999999999", "must be an id"),
    ] {
        let text = format!(r#"{{"ociVersion": "1.0.0", "process": {{"user": {{"uid": {number}}}}}}}"#);
        let violations = parse_config(text.as_bytes()).unwrap_err().to_string();
        assert!(violations.contains(words), "{number}: {violations}");
    }
}

#[test]
fn document_with_bad_text_is_refused() {
    assert_refused(r#"{"hostname": "\ud800"}"#, "/hostname: must be JSON");
    assert_refused(r#"{"hostname": "\udc00x"}"#, "/hostname: must be JSON");
    assert_refused(r#"{"hostname": "\ud800\u0041"}"#, "/hostname: must be JSON");
    assert_refused("{\"hostname\": \"a\nb\"}", "/hostname: must be JSON");
    assert!(refused(b"{\"hostname\": \"\xff\xfe\"}").unwrap().starts_with("/hostname: must be JSON"));
    assert!(refused(b"{\"hostname\": \"\xed\xa0\x80\"}").is_some());
    assert_refused(r#"{"hostname": "\x41"}"#, "/hostname: must be JSON");
}

#[test]
fn document_with_wrong_types_everywhere_is_refused_everywhere() {
    let text = r#"{"ociVersion": 1, "process": 2, "root": 3, "hostname": 4, "domainname": 5, "mounts": 6, "hooks": 7,
        "annotations": 8, "linux": 9}"#;
    let violations = parse_config(text.as_bytes()).unwrap_err();
    let pointers: Vec<&str> = violations.iter().map(|violation| &*violation.pointer).collect();
    let expected = [
        "/ociVersion",
        "/root",
        "/process",
        "/hostname",
        "/domainname",
        "/hooks",
        "/annotations",
        "/linux",
        "/mounts",
    ];
    assert_eq!(pointers, expected);
}
