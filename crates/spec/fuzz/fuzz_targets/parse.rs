//! `cargo fuzz run parse` in `crates/spec`: no document panics, each error can be shown, and what is accepted and written
//! again means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match spec::parse_config(bytes) {
        Ok(parsed) => {
            let written = parsed.config.to_json();
            let again = spec::parse_config(written.as_bytes()).expect("what was written is valid");
            assert_eq!(again.config, parsed.config);
        }
        Err(violations) => {
            assert!(!violations.one_line().contains('\n'));
            assert_eq!(violations.to_string().lines().count().min(101), violations.count().min(101));
        }
    }
    let _ = spec::parse_process(bytes);
    let _ = spec::parse_resources(bytes);
});
