//! Generates the services that users call, over the messages of `wire`: stubs for the asking side, traits for the answering side.
//!
//! What nodes say to each other needs nothing generated: see `exchange`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let descriptors = protox::compile(["dht/v1/kv.proto", "dht/v1/admin.proto"], [root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for side in ["client", "server"] {
        let out = out.join(side);
        std::fs::create_dir_all(&out)?;
        let builder = tonic_prost_build::configure()
            .build_client(side == "client")
            .build_server(side == "server")
            .emit_rerun_if_changed(false)
            .extern_path(".dht.v1", "::wire::v1")
            .out_dir(out);
        // The answering side tells apart what is malformed from what is broken.
        let builder = if side == "server" { builder.codec_path("crate::codec::Checked") } else { builder };
        builder.compile_fds(descriptors.clone())?;
    }
    Ok(())
}
