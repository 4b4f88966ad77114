"""A real pipeline on real data, a vendor that misbehaves on demand, and scenarios with known causes."""
