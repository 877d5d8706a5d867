//! Every decoder over a corpus, and over mutations of it. Goal: no input panics, none takes
//! more memory than its bounds say, and what is read is written again as it was.
//!
//! Each folder of `seeds` has the name of a target and holds inputs, one a file, byte by byte
//! as they would arrive: the protocol's examples, its worst relatives, and whatever once broke
//! a decoder. `cargo test` runs each seed as it is, then mutated with numbers that are the same
//! in every run. To look further:
//!
//! ```text
//! WIRE_CORPUS_ROUNDS=200000 cargo test --release -p wire --test corpus
//! ```
//!
//! A failure prints the input; it belongs into `seeds` then.
//!
//! This is not `cargo fuzz`, since that needs a nightly compiler, and the project and its
//! checks are built by the stable one. What it would add, the search guided by coverage, the
//! seeds make up for by hand: there is one for each branch of a decoder.

mod mutate;
mod targets;

use std::path::{Path, PathBuf};
use std::{env, fs, panic};

use mutate::Mutator;

/// Mutations of each seed, unless `WIRE_CORPUS_ROUNDS` says otherwise.
const ROUNDS: usize = 300;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/seeds")
}

/// The names and the bytes of a target's seeds, in the order of the names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<_> = fs::read_dir(folder().join(target))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let bytes = fs::read(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), bytes))
        })
        .collect();
    seeds.sort();
    seeds
}

#[expect(clippy::panic, reason = "how a test fails; it says with what")]
fn run(target: &str, check: fn(&[u8])) {
    let rounds = env::var("WIRE_CORPUS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let mut mutator = Mutator::new(target, seeds.iter().map(|(_, bytes)| &bytes[..]));
    for (name, seed) in &seeds {
        for round in 0..=rounds.unwrap_or(ROUNDS) {
            let input = if round == 0 { seed.clone() } else { mutator.mutate(seed) };
            if panic::catch_unwind(|| check(&input)).is_err() {
                panic!(
                    "{target} fails in round {round} of {name} with \"{}\"",
                    input.escape_ascii()
                );
            }
        }
    }
}

macro_rules! targets {
    ($($target:ident,)+) => {
        $(#[test]
        fn $target() {
            run(stringify!($target), targets::$target);
        })+

        #[test]
        fn every_folder_of_seeds_has_a_target() {
            let targets = [$(stringify!($target)),+];
            for entry in fs::read_dir(folder()).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    let name = entry.file_name().into_string().unwrap();
                    assert!(targets.contains(&&*name), "{name}");
                }
            }
        }
    };
}

targets! {
    client_frames,
    server_frames,
    upgrade_requests,
    queries,
    engine_packets,
    polling_bodies,
    text_packets,
    msgpack_packets,
    placeholders,
    assemblies,
}
