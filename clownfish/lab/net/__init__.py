"""The network lab: real processes and real TCP over a link that is as bad as a profile says, on one machine.

`profile` reads what a network is like, `plan` says how this machine can make it so, `network` does it: two network
namespaces joined by the kernel's own shapers (tc) or by `link`, a process between two TUN devices, whose thinking is in
`pipe`. `interface` shapes a real interface instead. `check` measures what came of it.
"""
