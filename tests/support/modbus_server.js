// A Modbus TCP server made of node's modbus-serial: coils 0-15, registers 0-9 holding ten times their address until written.
// Prints {"port": n} when it listens.
const { ServerTCP } = require("modbus-serial");
const coils = new Array(16).fill(false);
const registers = Array.from({ length: 10 }, (_, address) => 10 * address);
const outside = () => { const error = new Error("address"); error.modbusErrorCode = 2; throw error; };
const vector = {
  getCoil: (address) => (address < coils.length ? coils[address] : outside()),
  setCoil: (address, value) => { if (address >= coils.length) outside(); coils[address] = value; },
  getHoldingRegister: (address) => (address < 10 ? registers[address] : outside()),
  setRegister: (address, value) => { if (address >= 10) outside(); registers[address] = value; },
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: 0, unitID: 1 });
server.on("initialized", () => console.log(JSON.stringify({ port: server._server.address().port })));
server.on("socketError", () => {});
