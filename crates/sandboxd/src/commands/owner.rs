//! User names, without the C library's name service: a static binary has none.

use std::fs;

/// The name of a uid by `/etc/passwd`, or `#uid`, as runc writes it.
pub(crate) fn name(uid: u32) -> String {
    let passwd = if uid == 0 { None } else { fs::read_to_string("/etc/passwd").ok() };
    match passwd.as_deref().and_then(|passwd| find(passwd, uid)) {
        Some(name) => name.to_owned(),
        None if uid == 0 => "root".to_owned(),
        None => format!("#{uid}"),
    }
}

/// `passwd(5)`: name:password:uid:…
fn find(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_uid_is_found() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\na:b\nweb:x:1000:1000::/:/bin/sh\n";
        assert_eq!(find(passwd, 1000), Some("web"));
        assert_eq!(find(passwd, 1), None);
    }
}
