"""Tools that prove things: the op registry with its cases, contracts and generators of inputs."""
