//! A primary that was paused and replaced does not know so when it wakes, and orders first what clients had sent it before:
//! by a clock that is ahead of all that its successor has acknowledged meanwhile, and under the number of a set that is
//! over.

use crate::scenarios::{grown, seeds};
use crate::world::{CALM, MS, SECOND};

#[test]
fn what_a_primary_orders_after_it_was_replaced_wins_over_nothing() {
    for seed in seeds(20) {
        let mut world = grown(seed, 4 + (seed / 3 % 3) as usize, 3, None, CALM);
        world.keys = 12;
        world.work(2 * SECOND);
        world.heal();
        for _ in 0..3 {
            let paused = world.some_primary();
            let duration = 4 * SECOND + world.below(6 * SECOND);
            world.pause(paused, duration);
            world.work_at(duration + 3 * SECOND, 40 * MS);
        }
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}
