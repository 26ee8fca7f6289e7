"""Takes the recipes of "Generate a client" out of the page named on the command line: recipe.sh, recipe.ts, recipe.py."""

import re
import sys

page = open(sys.argv[1], encoding="utf-8").read()
section = page.split("\n## Generate a client\n")[1].split("\n## ")[0]
for language, name in [("sh", "recipe.sh"), ("ts", "recipe.ts"), ("python", "recipe.py")]:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert blocks, f"no recipe in {language}"
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(blocks))
