// What zigbee2mqtt would publish as "action" for raw messages of buttons, by zigbee-herdsman-converters itself.
const {findDefinition} = require('zigbee-herdsman-converters');
const MODELS = {
  TS0041: {manufacturer: '_TZ3000_x', endpoints: [1], messages: [0, 1, 2].map((value) => ({type: 'commandTuyaAction', cluster: 'genOnOff', data: {value}}))},
  TS0044: {manufacturer: '_TZ3000_x', endpoints: [1, 2, 3, 4], messages: [0, 1, 2].map((value) => ({type: 'commandTuyaAction', cluster: 'genOnOff', data: {value}}))},
  'lumi.remote.b1acn01': {manufacturer: 'LUMI', endpoints: [1], messages: [0, 1, 2, 255].map((presentValue) => ({type: 'attributeReport', cluster: 'genMultistateInput', data: {presentValue}}))},
};
(async () => {
  const found = {};
  for (const [modelID, one] of Object.entries(MODELS)) {
    const endpoints = one.endpoints.map((ID) => ({ID, getClusterAttributeValue: () => undefined}));
    const device = {modelID, manufacturerName: one.manufacturer, type: 'EndDevice', ieeeAddr: '0x' + modelID, endpoints, powerSource: 'Battery', customClusters: {}, getEndpoint: (ID) => endpoints.find((e) => e.ID === ID)};
    const definition = await findDefinition(device, false);
    const words = (found[modelID] = []);
    let sequence = 0;
    for (const endpoint of endpoints) for (const message of one.messages) for (const converter of definition.fromZigbee) {
      const types = Array.isArray(converter.type) ? converter.type : [converter.type];
      if (converter.cluster !== message.cluster || !types.includes(message.type)) continue;
      const meta = {zclTransactionSequenceNumber: ++sequence, frameControl: {}};
      const msg = {...message, endpoint, device, meta, linkquality: 1, groupID: 0};
      const said = await converter.convert(definition, msg, (payload) => payload.action && words.push(payload.action), {}, {device, state: {}});
      if (said && said.action !== undefined) words.push(said.action);
    }
  }
  process.stdout.write('\n' + JSON.stringify(found) + '\n');
})();
