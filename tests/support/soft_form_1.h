/* A folder of se:soft as versions wrote it in which labels were unique over all owners: symmetric
 * keys "mine" and "psk" of alice, "plain" of nobody, and "gone", which bob deleted. The value of
 * the two that can be read is "secret of alice!". */
#pragma once

static const struct {
    const char *path, *hex;
} soft_form_1[] = {
    {"d/state.key", "6a8808ee2c7a4c6fe837491f07e77967fc4550a80219be451267c1909eed2f6c"},
    {"d/params", "425354534550310a000000000000000000000000000000000000000000000000000000000001cbb8"
                 "08b50eb6d3aded02baa601457463c2de502e484734af6af47597"},
    {"d/manifest",
     "0121dca3dc33fe3d618544fd40fd3206dd5ad45c79f42af24f1ec4ecad8452e7c082e0ced2081c85"
     "4fdcc43b5b4aeb6f1388bfc13e070e95d78934380d552070c7da553af19c0324835be4d81a27"},
    {"d/keys.1", "42535453454c310a1457b5b485d326c47dde7219cd90155e00000084015969ad212c51754f6972e4"
                 "e2c43527954c83cbd1a479e98283ac7e6dd910a2457c94ea8a952c2a782db51b959f9ddc512fed99"
                 "db3de188525a9b13d929cd9fcc0fbbe44db83c573c43169c67d6144b70d6abe8af86530cfed6b216"
                 "52b66b3a51af1dfbc397799a02761e4c05d29eea67bdd97820dcd7bfe6f03de6ae1f0be2076410c4"
                 "0000007301e43adf6c4874c7a5e0035a0a098ee41911e704262ff97912f7ac1f902763da1168625d"
                 "fa50ced8b1ca56efb9bdfbc38f6fc6021f9a3c8ab892689fde056c5f7db3057a15e0678865228d36"
                 "ea123eba5b5ff258617d4f2fd6ded3adb1de20dfc8e07a03d9712691304ac1bf68200c255b026600"
                 "00007001f74d983ba710ff2f4e24497d4828aeb3e3ef9803f199f624c65d9b602a06fd5b16d54738"
                 "e341d6ac7788e267e771bf4c473049fc4070a6bd8e7987264b5638fa9190ec01e424692afa1a87d9"
                 "b941684d52444de5577ab9df244b0b9a52acb1012d52851ff1f0a0eaec0901a5eb92f10000008201"
                 "88d0ebd3bbfdb2436b30e5cb842b09b2ee7f480480eaf9063dd9d7d31a246880fba89e1504361bd9"
                 "20a34b8e7d53b88c471628480a3da07425be0e5f23e942aae05db63427ab518ffd8b74fa55b64d39"
                 "c8ea52e432c6ac08afa5dcc25f73894744083bcda8c8499f32705437886f72e759efbc44f5c6b522"
                 "06cc9430070647a47f0000002401cd30be013ae09fc145826205b0587a12c4326c417ed88c88c051"
                 "93c8a6f21e2a47aaf7"},
};
