pub struct MemoryEngine;
