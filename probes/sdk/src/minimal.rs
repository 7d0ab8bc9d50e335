//! What a guest lacks without the standard library.

use lol_alloc::{LeakingAllocator, LockedAllocator};

// Every poll starts with fresh memory, so giving memory back is work for nothing.
#[global_allocator]
static ALLOCATOR: LockedAllocator<LeakingAllocator> = LockedAllocator::new(LeakingAllocator::new());

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
