//! `cargo xtask bench transfer`: one big blob and many small ones over loopback, in and out of our
//! registry and distribution v3, side by side with kit, oras, crane and curl; then one blob over
//! slow connections, and 500 pulls at once.
//!
//! Everything lies in memory (`/dev/shm`) unless told otherwise: the disk is the same for all
//! sides, and slower than what is measured.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::json;

use super::slow;
use crate::build;
use crate::e2e::say;
use crate::measure::{Cost, Side, alternate, machine, run};
use crate::peers::{Peers, run_quietly};
use crate::registries::{Registry, Shop, distribution_config, noise};
use crate::scratch::{MIB, Scratch};

/// How much content is made at a time, in bytes.
const PIECE: usize = 1 << 20;

/// Measure transfers side by side with the peers
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The size of the big blob in MiB
    #[arg(long, default_value_t = 2048)]
    big: usize,
    /// How many small blobs there are
    #[arg(long, default_value_t = 200)]
    blobs: usize,
    /// The size of each small one in MiB
    #[arg(long, default_value_t = 10)]
    small: usize,
    /// How often each side runs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where everything lies, in a folder of its own
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// How many pulls run at once in the end
    #[arg(long, default_value_t = 500)]
    pulls: usize,
}

struct Bench<'a> {
    args: &'a Args,
    shop: Shop,
    kitops: PathBuf,
    oras: PathBuf,
    crane: PathBuf,
    table: String,
}

/// One artifact: its folder is a layout, its digest the manifest's.
struct Artifact {
    name: &'static str,
    digest: String,
    blobs: Vec<String>,
    bytes: u64,
}

/// Runs all measurements, and writes the table down.
pub(crate) fn measure(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let kit = build::optimised(workspace)?;
    // Both as layouts; one of them in a registry and on its way into it, and at two clients.
    let (big, many) = (args.big, args.blobs * args.small);
    let bytes = (big + many + 4 * big.max(many)) as u64 * MIB;
    let scratch = Scratch::new(&args.dir.join("kit-rs-bench-transfer"), bytes)?;
    let shop = Shop::open(scratch.path().to_owned(), kit)?;
    peers.debian("openssl", "openssl")?;
    let kitops = peers.kit()?;
    let oras = peers.go("oras.land/oras/cmd/oras", "v1.3.6", "oras")?;
    let crane = peers.go("github.com/google/go-containerregistry/cmd/crane", "v0.22.1", "crane")?;
    let distribution =
        peers.go("github.com/distribution/distribution/v3/cmd/registry", "v3.1.2", "registry")?;
    let mut bench = Bench { args, shop, kitops, oras, crane, table: String::new() };
    bench.line(&format!("{}; medians of {} alternating runs", machine(), args.rounds));
    let big = bench.artifact("big", 1, args.big << 20)?;
    let many = bench.artifact("many", args.blobs, args.small << 20)?;
    for theirs in [false, true] {
        for artifact in [&big, &many] {
            bench.transfers(artifact, theirs.then_some(&distribution))?;
        }
    }
    bench.slow_connections()?;
    bench.many_pulls()?;
    let out = workspace.join("target/bench/transfer.md");
    fs::create_dir_all(out.parent().context("a file has a folder")?)?;
    fs::write(&out, &bench.table)?;
    say(&format!("written to {}", out.display()));
    Ok(())
}

impl Bench<'_> {
    fn line(&mut self, line: &str) {
        say(line);
        let _ = writeln!(self.table, "{line}");
    }

    /// Writes a layout with so many blobs; `kit-rs` finds it as the home folder of its name.
    fn artifact(
        &self,
        name: &'static str,
        n_blobs: usize,
        size: usize,
    ) -> anyhow::Result<Artifact> {
        let layout = self.shop.dir.join(name).join("storage");
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        fs::create_dir_all(layout.join("ingest"))?;
        // In pieces: what this process once had counts as the peak of those that it starts.
        let put = |pieces: &mut dyn Iterator<Item = Vec<u8>>| -> anyhow::Result<String> {
            let file = layout.join("new");
            let mut writer = fs::File::create(&file)?;
            for piece in pieces {
                writer.write_all(&piece)?;
            }
            let sum = self.shop.run(Path::new("sha256sum"), &file.display().to_string())?;
            let hex = sum.split_whitespace().next().context("sha256sum says a sum")?.to_owned();
            fs::rename(file, layout.join("blobs/sha256").join(&hex))?;
            Ok(format!("sha256:{hex}"))
        };
        // `kit` takes nothing but ModelKits.
        let kitfile = br#"{"manifestVersion":"1.0.0","package":{"name":"bench"}}"#.to_vec();
        let config_size = kitfile.len();
        let config = put(&mut [kitfile].into_iter())?;
        let mut blobs = Vec::new();
        for n in 0..n_blobs {
            let piece =
                |i: usize| noise(PIECE.min(size - i * PIECE), (n * 977 + i * 31 + 13) as u64);
            blobs.push(put(&mut (0..size.div_ceil(PIECE)).map(piece))?);
        }
        let layer = |digest: &String| json!({ "mediaType": "application/vnd.kitops.modelkit.dataset.v1.tar", "digest": digest, "size": size });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.kitops.modelkit.manifest.v1+json",
            "config": { "mediaType": "application/vnd.kitops.modelkit.config.v1+json", "digest": config, "size": config_size },
            "layers": blobs.iter().map(layer).collect::<Vec<_>>(),
        });
        let bytes = manifest.to_string();
        let digest = put(&mut [bytes.clone().into_bytes()].into_iter())?;
        let index = json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": bytes.len(),
            "annotations": { "org.opencontainers.image.ref.name": format!("localhost/{name}:v1") },
        }]});
        fs::write(layout.join("index.json"), index.to_string())?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Artifact { name, digest, blobs, bytes: (n_blobs * size) as u64 })
    }

    fn registry(&self, theirs: Option<&PathBuf>) -> anyhow::Result<Registry> {
        let root = self.shop.dir.join("registry");
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        match theirs {
            None => Registry::ours(&self.shop.kit, &root, "127.0.0.1:0", &[]),
            Some(program) => Registry::distribution(program, &root, distribution_config),
        }
    }

    /// Pushes and pulls one artifact with every side.
    fn transfers(&mut self, artifact: &Artifact, theirs: Option<&PathBuf>) -> anyhow::Result<()> {
        let registry = self.registry(theirs)?;
        let (name, address) = (artifact.name, registry.address.clone());
        let where_to = if theirs.is_some() { "distribution 3.1.2" } else { "kit-rs registry" };
        self.line(&format!(
            "\n{name}: {} MiB in {} blobs, {where_to}",
            artifact.bytes >> 20,
            artifact.blobs.len()
        ));
        let source = format!("{address}/source/{name}:v1");
        self.shop.kit(name, &format!("push localhost/{name}:v1 {source}"))?;
        // What kit pushes has to lie in its own folder.
        self.kitops(&format!("pull --plain-http {source}"), "kitops-source").and_then(finished)?;
        let pushed = self.pushes(artifact, &address, &source)?;
        fs::remove_dir_all(self.shop.dir.join("kitops-source"))?;
        self.show(artifact, &pushed);
        let pulled = self.pulls(artifact, &address, &source)?;
        self.show(artifact, &pulled);
        self.line(&format!("  registry: {} MiB at most", registry.peak()? >> 20));
        Ok(())
    }

    /// A command of `kit`, with a home folder of the shop.
    fn kitops(&self, line: &str, home: &str) -> anyhow::Result<Command> {
        let home = self.shop.dir.join(home);
        fs::create_dir_all(&home)?;
        fs::write(home.join("disable-update-notifications"), "")?;
        let mut command = self.shop.command(&self.kitops, line);
        command.env("KITOPS_HOME", home);
        Ok(command)
    }

    fn pushes(
        &self,
        artifact: &Artifact,
        address: &str,
        source: &str,
    ) -> anyhow::Result<Vec<(String, Cost)>> {
        let (shop, name, n) = (&self.shop, artifact.name, Cell::new(0));
        // A repository is new for each run: nothing of it is there.
        let fresh = || format!("{address}/run{}/{name}:v1", n.replace(n.get() + 1));
        let mut sides = [
            Side {
                name: "kit-rs push",
                run: Box::new(|| {
                    run(quiet(
                        &mut shop
                            .kit_command(name, &format!("push localhost/{name}:v1 {}", fresh())),
                    ))
                }),
            },
            Side {
                name: "kit push",
                run: Box::new(|| {
                    let to = fresh();
                    self.kitops(&format!("tag {source} {to}"), "kitops-source")
                        .and_then(finished)?;
                    run(quiet(
                        &mut self.kitops(&format!("push --plain-http {to}"), "kitops-source")?,
                    ))
                }),
            },
            Side {
                name: "oras cp",
                run: Box::new(|| {
                    let (from, to) = (format!("{name}/storage@{}", artifact.digest), fresh());
                    let line =
                        format!("cp --concurrency 5 --from-oci-layout --to-plain-http {from} {to}");
                    run(quiet(&mut shop.command(&self.oras, &line)))
                }),
            },
            Side {
                name: "crane push",
                run: Box::new(|| {
                    run(quiet(
                        &mut shop.command(&self.crane, &format!("push {name}/storage {}", fresh())),
                    ))
                }),
            },
        ];
        let names: Vec<String> = sides.iter().map(|side| side.name.to_owned()).collect();
        Ok(names.into_iter().zip(alternate(self.args.rounds, &mut sides)?).collect())
    }

    fn pulls(
        &self,
        artifact: &Artifact,
        address: &str,
        source: &str,
    ) -> anyhow::Result<Vec<(String, Cost)>> {
        let (shop, name) = (&self.shop, artifact.name);
        // Every side finds as much memory free.
        let clear = || -> anyhow::Result<()> {
            for path in ["to", "curl"].map(|folder| shop.dir.join(folder)) {
                if path.exists() {
                    fs::remove_dir_all(path)?;
                }
            }
            Ok(())
        };
        let list = artifact.blobs.iter().enumerate().fold(String::new(), |mut list, (n, blob)| {
            let _ = writeln!(
                list,
                "url = http://{address}/v2/source/{name}/blobs/{blob}\noutput = curl/{n}"
            );
            list
        });
        fs::write(shop.dir.join("curl.txt"), list)?;
        let mut sides = [
            Side {
                name: "kit-rs pull",
                run: Box::new(|| {
                    clear()?;
                    run(quiet(&mut shop.kit_command("to", &format!("pull {source}"))))
                }),
            },
            Side {
                name: "kit pull",
                run: Box::new(|| {
                    clear()?;
                    run(quiet(&mut self.kitops(&format!("pull --plain-http {source}"), "to")?))
                }),
            },
            Side {
                name: "oras cp",
                run: Box::new(|| {
                    clear()?;
                    let line = format!(
                        "cp --concurrency 5 --from-plain-http --to-oci-layout {source} to:v1"
                    );
                    run(quiet(&mut shop.command(&self.oras, &line)))
                }),
            },
            Side {
                name: "crane pull",
                run: Box::new(|| {
                    clear()?;
                    run(quiet(
                        &mut shop.command(&self.crane, &format!("pull --format=oci {source} to")),
                    ))
                }),
            },
            Side {
                name: "curl (no hash)",
                run: Box::new(|| {
                    clear()?;
                    fs::create_dir_all(shop.dir.join("curl"))?;
                    let line = "-sS --fail --parallel --parallel-max 5 --config curl.txt";
                    run(quiet(&mut shop.command(Path::new("curl"), line)))
                }),
            },
            Side {
                // It uses the processor's own instructions, which that of coreutils often does not.
                name: "openssl sha256",
                run: Box::new(|| {
                    let files = artifact
                        .blobs
                        .iter()
                        .map(|blob| format!("{name}/storage/blobs/{}", blob.replace(':', "/")));
                    let line = format!("dgst -sha256 {}", files.collect::<Vec<_>>().join(" "));
                    run(quiet(&mut shop.command(Path::new("openssl"), &line)))
                }),
            },
        ];
        let names: Vec<String> = sides.iter().map(|side| side.name.to_owned()).collect();
        let costs = alternate(self.args.rounds, &mut sides)?;
        clear()?;
        Ok(names.into_iter().zip(costs).collect())
    }

    fn show(&mut self, artifact: &Artifact, costs: &[(String, Cost)]) {
        let ours = costs.first().map_or(1.0, |(_, cost)| cost.wall.as_secs_f64());
        for (side, cost) in costs {
            let wall = cost.wall.as_secs_f64();
            self.line(&format!(
                "  {side:<16} {wall:>7.2} s  {:>6.0} MB/s  cpu {:>5.2} s  peak {:>4} MiB  {:>5.2}× ours",
                artifact.bytes as f64 / 1e6 / wall,
                cost.cpu.as_secs_f64(),
                cost.peak >> 20,
                wall / ours
            ));
        }
    }

    /// One blob over connections of 50 ms and 256 KiB in flight.
    fn slow_connections(&mut self) -> anyhow::Result<()> {
        let artifact = self.artifact("slow", 1, 64 << 20)?;
        let registry = self.registry(None)?;
        self.shop
            .kit("slow", &format!("push localhost/slow:v1 {}/source/slow:v1", registry.address))?;
        let proxy = slow::before(&registry.address)?;
        let source = format!("{proxy}/source/slow:v1");
        self.line("\nslow: 64 MiB in one blob, each connection with 50 ms and 256 KiB in flight");
        let pull = |home: &str, flags: &str| {
            run(quiet(&mut self.shop.kit_command(home, &format!("pull {source} {flags}"))))
        };
        let costs = vec![
            ("kit-rs pull".to_owned(), pull("slow-many", "")?),
            ("one connection".to_owned(), pull("slow-one", "--connections 1 --concurrency 1")?),
            ("oras cp".to_owned(), {
                let line = format!("cp --from-plain-http --to-oci-layout {source} slow-oras:v1");
                run(quiet(&mut self.shop.command(&self.oras, &line)))?
            }),
        ];
        self.show(&artifact, &costs);
        Ok(())
    }

    /// So many pulls at once; each is a client of its own that takes the manifest and the blob.
    fn many_pulls(&mut self) -> anyhow::Result<()> {
        let artifact = self.artifact("crowd", 1, 4 << 20)?;
        let registry = self.registry(None)?;
        self.shop.kit(
            "crowd",
            &format!("push localhost/crowd:v1 {}/source/crowd:v1", registry.address),
        )?;
        let urls = [
            format!("http://{}/v2/source/crowd/manifests/v1", registry.address),
            format!("http://{}/v2/source/crowd/blobs/{}", registry.address, artifact.blobs[0]),
        ];
        let began = std::time::Instant::now();
        let errors: Vec<String> = std::thread::scope(|scope| {
            let pulls: Vec<_> = (0..self.args.pulls)
                .map(|_| scope.spawn(|| slow::read_all(&urls, 4 << 20)))
                .collect();
            pulls
                .into_iter()
                .filter_map(|pull| {
                    pull.join()
                        .map_or(Some("panicked".into()), |it| it.err().map(|it| format!("{it:#}")))
                })
                .collect()
        });
        let took = began.elapsed();
        let (n, peak) = (self.args.pulls, registry.peak()? >> 20);
        self.line(&format!(
            "\n{n} pulls at once: {} errors, {took:.2?}, registry {peak} MiB at most",
            errors.len()
        ));
        ensure!(errors.is_empty(), "{}", errors[0]);
        Ok(())
    }
}

fn finished(mut command: Command) -> anyhow::Result<()> {
    run_quietly(&mut command).map(drop)
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
