//! Generates the messages of `proto/dht/v1` and keeps their descriptor for server reflection.

use std::error::Error;
use std::path::PathBuf;

const PROTOS: [&str; 8] = ["admin", "chord", "common", "kelips", "kv", "membership", "pastry", "storage"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = PROTOS.map(|name| format!("dht/v1/{name}.proto"));
    let mut descriptors = protox::compile(files, [root])?;

    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .emit_rerun_if_changed(false)
        .bytes(".")
        .compile_fds(descriptors.clone())?;

    for file in &mut descriptors.file {
        file.source_code_info = None; // comments: of no use at run time
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("dht.v1.descriptors.bin");
    std::fs::write(out, prost::Message::encode_to_vec(&descriptors))?;
    Ok(())
}
