//! What has to be signed by whom before it is used.

use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;
use globset::{GlobBuilder, GlobMatcher};
use registry::content::Digest;
use registry::{Client, Reference};
use serde::Deserialize;

use crate::check::{Verified, attestations, verify};
use crate::predicate::predicate_type;
use crate::{Error, PublicKey, Result, Roots, Signer, model};

/// How much a missing signature weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nobody looks.
    Off,
    /// It is told.
    Warn,
    /// Nothing is used.
    Enforce,
}

/// What time it is, asked at each check: a policy may hold for as long as a server runs, and a
/// certificate ends meanwhile.
pub type Clock = fn() -> SystemTime;

/// What has to be signed by whom: rules for repositories, of which the first that fits holds.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<(GlobMatcher, Rule)>,
    rest: Rule,
    local: Mode,
    pickles: Mode,
}

/// What is asked of what one rule is about.
#[derive(Clone, Debug)]
pub struct Rule {
    mode: Mode,
    keys: Vec<PublicKey>,
    /// Files of roots, as texts: which of them are valid depends on when they are asked.
    roots: Vec<String>,
    now: Clock,
    predicates: Vec<String>,
}

/// What came of asking.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The policy does not ask.
    Unasked,
    /// The signature that was found, of files none.
    Signed(Option<Box<Verified>>),
    /// It would be refused, if the policy did more than warn.
    Warned(Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    mode: Mode,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    roots: Vec<String>,
    #[serde(default)]
    predicates: Vec<String>,
    local: Option<Mode>,
    pickles: Option<Mode>,
    #[serde(default)]
    rules: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "match")]
    pattern: String,
    mode: Mode,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    roots: Vec<String>,
    #[serde(default)]
    predicates: Vec<String>,
}

impl Policy {
    /// Nothing but what one of these keys has signed; no keys ask for nothing.
    pub fn of_keys(keys: Vec<PublicKey>) -> Self {
        let mode = if keys.is_empty() { Mode::Off } else { Mode::Enforce };
        let rest =
            Rule { mode, keys, roots: Vec::new(), now: SystemTime::now, predicates: Vec::new() };
        Self { rules: Vec::new(), rest, local: mode, pickles: Mode::Warn }
    }

    /// Reads a policy's file; its keys and roots are files, named from its folder.
    ///
    /// # Errors
    /// Whatever is not understood, as a whole: a policy of which a part is passed over protects
    /// nobody.
    pub fn read(path: &Path, now: Clock) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(
            &fs::read_to_string(path)?,
            |name| Ok(fs::read_to_string(folder.join(name))?),
            now,
        )
    }

    /// Reads a policy; `open` gives the text of a file of a key, or of roots, that it names.
    pub fn parse(text: &str, open: impl Fn(&str) -> Result<String>, now: Clock) -> Result<Self> {
        let document: Document =
            serde_yaml::from_str(text).map_err(|error| Error::Policy(error.to_string()))?;
        let key = |name: &String| PublicKey::from_pem(&open(name)?);
        let root = |name: &String| {
            let text = open(name)?;
            let unread = |error| Error::Policy(format!("the roots {name}: {error}"));
            Roots::from_pem(&text, now()).map_err(unread)?;
            Ok(text)
        };
        let rule = |what: &str, mode, keys: &[String], roots: &[String], predicates: &[String]| {
            let keys: Vec<_> = keys.iter().map(key).collect::<Result<_>>()?;
            let roots: Vec<_> = roots.iter().map(root).collect::<Result<_>>()?;
            if mode != Mode::Off && keys.is_empty() && roots.is_empty() {
                let problem = format!("{what} names no keys and no roots: whose signature?");
                return Err(Error::Policy(problem));
            }
            let uri = |text: &String| {
                let known = predicate_type(text).map(str::to_owned);
                known.ok_or_else(|| Error::Policy(format!("{text} is no type of a predicate")))
            };
            let predicates = predicates.iter().map(uri).collect::<Result<_>>()?;
            Ok(Rule { mode, keys, roots, now, predicates })
        };
        let Document { mode, keys, roots, predicates, .. } = &document;
        let rest = rule("the top", *mode, keys, roots, predicates)?;
        let rules = document.rules.iter().map(|entry| {
            let Entry { pattern: text, mode, keys, roots, predicates } = entry;
            let what = format!("the rule for {text}");
            Ok((pattern(text)?, rule(&what, *mode, keys, roots, predicates)?))
        });
        let local = document.local.unwrap_or(document.mode);
        let pickles = document.pickles.unwrap_or(Mode::Warn);
        Ok(Self { rules: rules.collect::<Result<_>>()?, rest, local, pickles })
    }

    /// What becomes of files that have Python call something when it loads them.
    pub fn pickles(&self) -> Mode {
        self.pickles
    }

    /// Whether nothing at all is asked.
    pub fn takes_all(&self) -> bool {
        let is_off = |rule: &Rule| rule.mode == Mode::Off;
        is_off(&self.rest) && self.local == Mode::Off && self.rules.iter().all(|it| is_off(&it.1))
    }

    /// Whether anything is asked of what lies under this name.
    pub fn asks_of(&self, reference: &Reference) -> bool {
        let mode = if reference.is_local() { self.local } else { self.rule(reference).mode };
        mode != Mode::Off
    }

    /// Checks a manifest, of which the digest was resolved before: what is used afterwards has to
    /// be that digest, whatever the tag names by then.
    ///
    /// # Errors
    /// What is not signed as it has to be, under [`Mode::Enforce`]; a registry that cannot be asked.
    pub async fn check(
        &self,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Verdict> {
        if reference.is_local() {
            return self.check_local(reference);
        }
        let rule = self.rule(reference);
        if rule.mode == Mode::Off {
            return Ok(Verdict::Unasked);
        }
        let checked = rule.verified(client, reference, digest).await;
        settled(rule.mode, checked.map(|it| Some(Box::new(it))))
    }

    /// Checks a name without a registry, beside which nothing can be signed.
    ///
    /// # Errors
    /// [`Error::Local`], unless the policy lets such names be.
    pub fn check_local(&self, reference: &Reference) -> Result<Verdict> {
        match self.local {
            Mode::Off => Ok(Verdict::Unasked),
            mode => settled(mode, Err(Error::Local { reference: reference.to_string() })),
        }
    }

    /// Checks the files of a folder, by the signature that lies among them ([`model::SIGNATURE`]).
    ///
    /// # Errors
    /// Files that are not as one of the keys has signed them, under [`Mode::Enforce`].
    pub fn check_folder(&self, dir: &Path) -> Result<Verdict> {
        if self.rest.mode == Mode::Off {
            return Ok(Verdict::Unasked);
        }
        settled(self.rest.mode, self.rest.signed_files(dir).map(|()| None))
    }

    fn rule(&self, reference: &Reference) -> &Rule {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let fits = self.rules.iter().find(|(pattern, _)| pattern.is_match(&name));
        fits.map_or(&self.rest, |(_, rule)| rule)
    }
}

impl Rule {
    /// Whose signature counts now. A file of roots of which none is valid any more has nobody's; why
    /// is told then.
    fn signers(&self) -> impl Iterator<Item = Result<Signer, String>> {
        let roots = |text: &String| match Roots::from_pem(text, (self.now)()) {
            Ok(roots) => Ok(Signer::Roots(roots)),
            Err(error) => Err(error.to_string()),
        };
        let keys = self.keys.iter().map(|key| Ok(Signer::Key(key.clone())));
        keys.chain(self.roots.iter().map(roots))
    }

    async fn verified(
        &self,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Verified> {
        let mut refused = None;
        for signer in self.signers() {
            let checked = match signer {
                Ok(signer) => self.verified_by(&signer, client, reference, digest).await,
                Err(ended) => Err(Error::Unsigned {
                    digest: digest.clone(),
                    signer: "a certificate under a root".to_owned(),
                    found: vec![ended],
                }),
            };
            match checked {
                Err(error @ (Error::Unsigned { .. } | Error::Unattested { .. })) => {
                    refused = refused.or(Some(error));
                }
                checked => return checked,
            }
        }
        Err(refused.expect("a rule that asks has keys or roots"))
    }

    /// Whoever signs has to say all that is asked for; under a root that is whoever it vouches for.
    async fn verified_by(
        &self,
        signer: &Signer,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Verified> {
        let verified = verify(client, reference, digest, signer).await?;
        for of_type in &self.predicates {
            attestations(client, reference, digest, signer, of_type).await?;
        }
        Ok(verified)
    }

    fn signed_files(&self, dir: &Path) -> Result<()> {
        let signature = dir.join(model::SIGNATURE);
        let unsigned = |found| Error::UnsignedFolder { dir: dir.display().to_string(), found };
        let bundle = match fs::read(&signature) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(unsigned(vec![format!("no {}", model::SIGNATURE)]));
            }
            read => read?,
        };
        let mut found = Vec::new();
        for signer in self.signers() {
            let verified = match signer {
                Ok(signer) => model::verify(dir, &bundle, &signature, signer),
                Err(ended) => Err(Error::refused(ended)),
            };
            match verified {
                Ok(_) => return Ok(()),
                Err(error @ Error::Io(_)) => return Err(error),
                Err(error) => found.push(error.to_string()),
            }
        }
        Err(unsigned(found))
    }
}

/// What a policy makes of a refusal; a registry or a disk that cannot be read is no answer at all.
fn settled(mode: Mode, checked: Result<Option<Box<Verified>>>) -> Result<Verdict> {
    match checked {
        Ok(verified) => Ok(Verdict::Signed(verified)),
        Err(error @ (Error::Registry(_) | Error::Io(_))) => Err(error),
        Err(error) if mode == Mode::Warn => Ok(Verdict::Warned(error)),
        Err(error) => Err(error),
    }
}

/// `*` stands for a part of a path, `**` for several.
fn pattern(text: &str) -> Result<GlobMatcher> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| Error::Policy(error.to_string()))
}
