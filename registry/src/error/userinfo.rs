//! Addresses as they may be shown.

/// Returns a text without the user names, passwords and tokens of the addresses in it:
/// `https://user:secret@host/x` becomes `https://host/x`.
pub fn without_userinfo(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let ends = |c: char| c.is_whitespace() || "/?#'\"`<>".contains(c);
        let end = after.find(ends).unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        shown.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_not_shown() {
        let check = |text: &str, expected: &str| assert_eq!(without_userinfo(text), expected);
        check("https://user:secret@host.test/o/n.git", "https://host.test/o/n.git");
        check("https://token@host.test", "https://host.test");
        check("https://user:p@ss@host.test:8443/x@y", "https://host.test:8443/x@y");
        check(
            "fatal: unable to access 'http://u:s@h/a/': no http://t@h/b",
            "fatal: unable to access 'http://h/a/': no http://h/b",
        );
        check("git@host.test:o/n", "git@host.test:o/n");
        check("r.io/a@sha256:0 https://h/a@b", "r.io/a@sha256:0 https://h/a@b");
        check("", "");
    }
}
