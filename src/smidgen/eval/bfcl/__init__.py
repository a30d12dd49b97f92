"""The Berkeley Function Calling Leaderboard (v4), its single-turn categories over Python functions.

Data and checker are those of the package `bfcl-eval`, which users install themselves.

package   where it is, and its checker without the vendors' libraries that the package asks for
schema    its notation of types and names, as JSON Schema and tool names, and back
suite     its items, and what counts as right
"""
