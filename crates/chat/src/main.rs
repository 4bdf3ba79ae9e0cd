//! A chat in the terminal, over XMPP, encrypted from end to end. `--help` tells the rest.

use std::process::ExitCode;

use clap::Parser;
use xmpp_e2e_chat::app;
use xmpp_e2e_chat::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result =
        runtime.map_err(xmpp_e2e_chat::Stop::error).and_then(|runtime| runtime.block_on(app::run(&args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("xmpp-e2e-chat: {}", stop.why);
            ExitCode::from(stop.code)
        }
    }
}
