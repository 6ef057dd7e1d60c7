//! Writes the committed inputs anew. Those that were kept because they had found something have names and stay.

use std::fs;

use mixlet_fuzz::seeds::all;

fn main() -> std::io::Result<()> {
    let all = all();
    for seed in &all {
        let folder = seed.path().with_file_name("");
        fs::create_dir_all(&folder)?;
        for file in fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()? {
            if file.file_name().to_string_lossy().parse::<u32>().is_ok() {
                fs::remove_file(file.path())?;
            }
        }
    }
    for seed in all {
        fs::write(seed.path(), seed.bytes)?;
    }
    Ok(())
}
