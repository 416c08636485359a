//! `migrate`: makes the schema of a store, or prints what would.

use clap::Args;

use crate::{Failure, url::StoreUrl};

/// Makes the schema and brings it up to date, as a server does when it starts
#[derive(Args, Debug)]
pub(crate) struct Migrate {
    /// The store
    store: StoreUrl,
    /// Prints the SQL instead, without connecting: for a role that may do so by hand
    #[arg(long)]
    print: bool,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if self.print {
            println!("{}", chat_engine::migrations(self.store.reveal())?);
            return Ok(());
        }
        chat_engine::open_store(self.store.reveal()).await?;
        println!("{}: up to date", self.store);
        Ok(())
    }
}
