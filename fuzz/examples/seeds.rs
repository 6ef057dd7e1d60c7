//! Writes the committed inputs anew.

use std::fs;

use mixlet_fuzz::seeds::{all, folder};

fn main() -> std::io::Result<()> {
    if folder().exists() {
        fs::remove_dir_all(folder())?;
    }
    for seed in all() {
        let path = seed.path();
        fs::create_dir_all(path.with_file_name(""))?;
        fs::write(path, seed.bytes)?;
    }
    Ok(())
}
