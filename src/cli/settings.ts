import { type Command, EXIT } from "./command.ts";
import { settingsText } from "./settings-text.ts";

export const SETTINGS_COMMAND: Command = {
  name: "settings",
  summary: "print every setting of serve: flag, variable, what it does (default)",
  actions: [
    {
      name: "",
      operands: "",
      summary: "",
      async run(_args, io) {
        await io.out(settingsText());
        return EXIT.ok;
      },
    },
  ],
  options: {},
};
