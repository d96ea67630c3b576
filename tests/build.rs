//! Generates the client stubs that the tests speak the raw wire with: from the same `.proto` files, the way that a
//! program in any other language would, and therefore without anything from this project's own crates.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let include = "../proto";
    let files = ["dht/v1/kv.proto", "dht/v1/admin.proto", "dht/v1/membership.proto", "dht/v1/chord.proto"];
    println!("cargo::rerun-if-changed={include}");
    let descriptors = protox::compile(files, [include])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
