"""The user's own Python, isolated: a function and an array go in, an array or an error comes out.

It knows no chain, no tile and no server, and runs no text of a user in the process that asks. Start at
`sandbox.Sandbox`, then `pool` (which worker), `worker` (one call), `box` (where workers live); what runs beyond the
fence is in `inside`.
"""
