//! The committed inputs are those the program makes, and each target takes its own.
#![allow(missing_docs, reason = "tests say what they test by their names")]

use std::fs;

use mixlet_fuzz::seeds::{all, folder};
use mixlet_fuzz::{TARGETS, run};

#[test]
fn every_target_takes_its_seeds() {
    for (name, _) in TARGETS {
        let files: Vec<_> = fs::read_dir(folder().join(name)).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no seeds");
        for path in files {
            println!("{}", path.display());
            run(name, &fs::read(path).unwrap());
        }
    }
}

#[test]
fn the_committed_seeds_are_those_made() {
    for seed in all() {
        assert!(fs::read(seed.path()).unwrap() == seed.bytes, "{} is old", seed.path().display());
    }
}
