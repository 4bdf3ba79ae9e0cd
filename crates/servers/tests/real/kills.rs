//! Clients that are killed wherever they are, again and again.

use std::time::Duration;

use crate::conversation::{PLACES, Pair};
use crate::{Tests, add};

pub(crate) fn add_tests(all: &mut Tests) {
    for place in PLACES {
        add(all, format!("both clients killed 24 times, {} to {}", place.0, place.1), move || async move {
            killed(Pair::start(place).await?).await;
            Ok(())
        });
    }
}

/// Pauses that are the same in every run, as far as the servers are.
pub(crate) struct Pauses(pub(crate) u64);

impl Pauses {
    pub(crate) fn next(&mut self, below: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % below)
    }
}

async fn killed(mut pair: Pair) {
    pair.meet().await;
    let mut pauses = Pauses(7);
    for round in 0..24_usize {
        let numbers = round * 4..round * 4 + 4;
        pair.say(true, numbers.clone());
        tokio::time::sleep(pauses.next(60)).await;
        pair.say(false, numbers);
        tokio::time::sleep(pauses.next(400)).await;
        if round % 3 != 1 {
            pair.alice.kill().await;
        }
        if round % 3 != 2 {
            pair.bob.kill().await;
        }
        tokio::time::sleep(pauses.next(100)).await;
        if round % 3 != 1 {
            pair.alice.start();
        }
        if round % 3 != 2 {
            pair.bob.start();
        }
    }
    pair.all_came(true, 96).await;
    pair.all_came(false, 96).await;
    pair.nothing_in_clear();
}
