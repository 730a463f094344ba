//! Names that Kubernetes takes, and URLs that Flux can fetch from.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, rules};

/// Makes a type of texts that keep a rule, which parsing holds them to.
macro_rules! kept_by {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let refuse =
                    |reason| Error::Grammar { what: $what, text: text.to_owned(), reason };
                $rule(text).map_err(refuse)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

kept_by! {
    /// A name that Kubernetes takes anywhere: a DNS label (RFC 1123), at most 63 of `a-z 0-9 -`, a
    /// letter or digit at both ends.
    ///
    /// It is also safe as a path segment and as a plain YAML scalar behind a key that wants a text,
    /// once quoted where it looks like a number.
    Name, "Kubernetes name", rules::label
}

kept_by! {
    /// The name of a Secret: a DNS subdomain (RFC 1123), at most 253 of `a-z 0-9 - .`.
    SecretName, "name of a Secret", rules::subdomain
}

kept_by! {
    /// The name of a Git branch.
    Branch, "Git branch", rules::branch
}

/// The address of a Git repository as Flux takes it: `https://`, `http://` or `ssh://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitUrl(String);

impl GitUrl {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GitUrl {
    /// The https address of a repository that is written in any way that Git takes for a remote one:
    /// where a token is shown.
    pub fn for_token(text: &str) -> Result<Self> {
        let refuse = |reason| {
            let text = without_secret(text);
            Err(Error::Grammar { what: "Git URL for a token", text, reason })
        };
        let (host, path) = match text.split_once("://") {
            Some(("https", _)) => return text.parse(),
            Some(("ssh", rest)) => rest.split_once('/').unwrap_or((rest, "")),
            Some(_) => return refuse("a token goes by https only"),
            // As scp writes it.
            None => match text.split_once(':') {
                Some((host, path)) if !host.contains('/') => (host, path.trim_start_matches('/')),
                _ => return refuse("it is no address of a server"),
            },
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        // The port is that of ssh.
        let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
        let host =
            host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(it, _)| it);
        format!("https://{host}/{path}").parse()
    }
}

impl FromStr for GitUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| Error::Grammar {
            what: "Git URL for Flux",
            text: without_secret(text),
            reason,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refuse("Flux wants a scheme: write ssh://git@host/path for git@host:path"));
        };
        match scheme {
            "https" | "http" | "ssh" => {}
            "file" => {
                return Err(refuse(
                    "Flux takes no file://; a cluster cannot see this machine's folders",
                ));
            }
            _ => return Err(refuse("Flux takes only https://, http:// and ssh://")),
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || path.trim_matches('/').is_empty() {
            return Err(refuse("it has a host and a path"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refuse("it has no blanks"));
        }
        if scheme != "ssh" && host.contains('@') {
            return Err(refuse("credentials belong into a Secret, not into the URL"));
        }
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        if user.contains(':') {
            return Err(refuse("credentials belong into a Secret, not into the URL"));
        }
        rules::host(host).map_err(refuse)?;
        Ok(Self(text.to_owned()))
    }
}

/// The address without what stands before its host, which may be a password.
fn without_secret(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", host.rsplit_once('@').map_or(host, |(_, host)| host))
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "distilbert-app", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a.b", "../x", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_git_url_is_one_that_flux_takes() {
        for good in
            ["https://host/ml-infra.git", "http://127.0.0.1:8080/r", "ssh://git@host:22/org/r"]
        {
            good.parse::<GitUrl>().unwrap();
        }
        for bad in [
            "file:///srv/r.git",
            "git@host:org/r",
            "/srv/r",
            "ftp://host/r",
            "https://",
            "https://user:pw@host/r",
            "https://h/a b",
            "https://h:99999/r",
            "https://h:0/r",
            "https:///r",
            "https://h//",
            "ssh://git:secret@h/r",
        ] {
            assert!(bad.parse::<GitUrl>().is_err(), "{bad}");
        }
        for (written, https) in [
            ("git@host:org/r.git", Some("https://host/org/r.git")),
            ("ssh://git@host:2222/org/r", Some("https://host/org/r")),
            ("ssh://git@[::1]:22/r", Some("https://[::1]/r")),
            ("https://host:8443/r", Some("https://host:8443/r")),
            ("http://host/r", None),
            ("/srv/r.git", None),
            ("file:///srv/r", None),
        ] {
            let url = GitUrl::for_token(written).ok();
            assert_eq!(url.as_ref().map(GitUrl::as_str), https, "{written}");
        }
        let error = "file:///srv/r.git".parse::<GitUrl>().unwrap_err().to_string();
        assert!(error.contains("Flux takes no file://"), "{error}");
        let error = "https://user:secret@host/r".parse::<GitUrl>().unwrap_err().to_string();
        assert!(error.contains("https://host/r") && !error.contains("secret"), "{error}");
    }
}
